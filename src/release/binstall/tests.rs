//! Tables of what a Cargo.toml leads to.

use proptest::prelude::*;

use super::*;

const GNU: &str = "x86_64-unknown-linux-gnu";
const MUSL: &str = "x86_64-unknown-linux-musl";

/// What a Cargo.toml with `table` as `[package.metadata.binstall]` leads to for these targets: addresses, or why not.
fn leads_to(table: &str, targets: &[&str]) -> Result<Vec<String>> {
    let text = format!(
        "[package]\nname = \"tool\"\nrepository = \"https://forge.example/me/tool.git/\"\n\n\
         [package.metadata.binstall]\n{table}\n"
    );
    archives(&text, None, targets).map(|found| found.into_iter().map(|(url, _)| url).collect())
}

fn archives(
    text: &str,
    workspace: Option<&str>,
    targets: &[&str],
) -> Result<Vec<(String, Format)>> {
    let targets: Vec<_> = targets.iter().map(|target| (*target).to_owned()).collect();
    let workspace = workspace.map(|text| CargoToml::parse(text).unwrap());
    let facts = Facts {
        package: "tool",
        version: &"1.2.3-rc.1+b".parse().unwrap(),
        targets: &targets,
        repository: "https://git.example/tool",
    };
    let found = CargoToml::parse(text)?.archives(workspace.as_ref(), &facts)?;
    let told = |found: Candidate| (found.archive.url, found.format);
    Ok(found.into_iter().map(told).collect())
}

#[track_caller]
fn refused(table: &str, why: &str) {
    let said = leads_to(table, &[GNU]).unwrap_err().one_line();
    assert!(said.contains(why), "{table}: {said}");
}

#[test]
fn every_variable_stands_for_what_cargo_binstall_says() {
    for (variable, target, value) in [
        ("name", GNU, "tool"),
        ("version", GNU, "1.2.3-rc.1+b"),
        ("target", GNU, GNU),
        ("binary-ext", GNU, ""),
        ("target-family", GNU, "linux"),
        ("target-family", "aarch64-apple-darwin", "darwin"),
        ("os-name", GNU, "linux"),
        ("os-name", "aarch64-apple-darwin", "macos"),
        ("target-arch", GNU, "x86_64"),
        ("target-arch", "universal-apple-darwin", "universal"),
        ("target-libc", MUSL, "musl"),
        ("target-libc", "armv7-unknown-linux-gnueabihf", "gnueabihf"),
        ("target-libc", "aarch64-apple-darwin", "unknown"),
        ("target-vendor", GNU, "unknown"),
        ("target-vendor", "aarch64-apple-darwin", "apple"),
    ] {
        let table = format!("pkg-url = \"https://a.example/{{ {variable} }}/x.tgz\"");
        let expected = format!("https://a.example/{value}/x.tgz");
        assert_eq!(
            leads_to(&table, &[target]),
            Ok(vec![expected]),
            "{variable}"
        );
    }
}

#[test]
fn the_repository_is_that_of_the_package_or_of_its_workspace_or_of_the_settings() {
    let table = "[package.metadata.binstall]\npkg-url = \"{ repo }/x.zip\"\n";
    let workspace = "[workspace.package]\nrepository = \"https://all.example/w\"\n";
    for (line, workspace, expected) in [
        (
            "repository = \"https://f.example/a/\"\n",
            None,
            "https://f.example/a",
        ),
        (
            "repository = \"https://f.example/a.git\"\n",
            None,
            "https://f.example/a",
        ),
        (
            "repository.workspace = true\n",
            Some(workspace),
            "https://all.example/w",
        ),
        (
            "repository.workspace = true\n",
            None,
            "https://git.example/tool",
        ),
        ("", Some(workspace), "https://git.example/tool"),
        (
            "repository = \"https://github.com/me/it/tree/main/crates/cli\"\n",
            None,
            "https://github.com/me/it",
        ),
        (
            "repository = \"https://github.com/me/it/tree/main/cli/deep\"\n",
            None,
            "https://github.com/me/it/tree/main/cli/deep",
        ),
    ] {
        let text = format!("[package]\nname = \"tool\"\n{line}\n{table}");
        let found = archives(&text, workspace, &[GNU]).unwrap();
        assert_eq!(
            found,
            [(format!("{expected}/x.zip"), Format::Zip)],
            "{line}"
        );
    }
    // A package at the top inherits from its own file.
    let own =
        format!("[package]\nname = \"tool\"\nrepository.workspace = true\n{table}{workspace}");
    assert_eq!(
        archives(&own, None, &[GNU]).unwrap()[0].0,
        "https://all.example/w/x.zip"
    );
}

#[test]
fn a_page_that_shows_a_folder_names_the_package_in_it() {
    for (repository, folder) in [
        ("https://github.com/me/it/tree/main/crates/cli", "cli"),
        ("https://github.com/me/it/tree/main/cli/", "cli"),
        ("https://gitlab.com/me/it/-/blob/main/cli", "cli"),
        ("https://codeberg.org/me/it/src/branch/main/cli", "cli"),
    ] {
        let text = format!(
            "[package]\nname = \"tool\"\nrepository = \"{repository}\"\n[package.metadata.binstall]\n\
             pkg-url = \"https://a.example/{{subcrate}}/x.zip\"\n"
        );
        let found = archives(&text, None, &[GNU]).unwrap();
        assert_eq!(found[0].0, format!("https://a.example/{folder}/x.zip"));
    }
    refused(
        "pkg-url = \"{ repo }/{ subcrate }.zip\"",
        "unknown key \"subcrate\"",
    );
}

#[test]
fn the_format_gives_the_endings_to_try() {
    let url = "pkg-url = \"https://a.example/{name}-{target}{ archive-suffix }\"";
    let at = |ending: &str| format!("https://a.example/tool-{GNU}{ending}");
    for (format, endings) in [
        ("", &[".tgz", ".tar.gz"][..]),
        ("pkg-fmt = \"tgz\"", &[".tgz", ".tar.gz"]),
        ("pkg-fmt = \"txz\"", &[".txz", ".tar.xz"]),
        ("pkg-fmt = \"tzstd\"", &[".tzstd", ".tzst", ".tar.zst"]),
        ("pkg-fmt = \"tzst\"", &[".tzstd", ".tzst", ".tar.zst"]),
        ("pkg-fmt = \"zip\"", &[".zip"]),
    ] {
        let expected: Vec<_> = endings.iter().map(|ending| at(ending)).collect();
        assert_eq!(
            leads_to(&format!("{url}\n{format}"), &[GNU]),
            Ok(expected),
            "{format}"
        );
    }
    for word in ["archive-format", "format"] {
        let table = format!("pkg-url = \"https://a.example/x.{{ {word} }}\"\npkg-fmt = \"zip\"");
        assert_eq!(
            leads_to(&table, &[GNU]),
            Ok(vec!["https://a.example/x.zip".to_owned()])
        );
    }
}

#[test]
fn without_a_variable_for_it_the_name_says_the_format() {
    for (name, format) in [
        ("x.tgz", Format::TarGz),
        ("x.tar.gz", Format::TarGz),
        ("x.txz", Format::TarXz),
        ("x.tar.xz", Format::TarXz),
        ("x.tbz2", Format::TarBz2),
        ("x.tar.bz2", Format::TarBz2),
        ("x.tzst", Format::TarZst),
        ("x.tar.zst", Format::TarZst),
        ("x.zip", Format::Zip),
    ] {
        let text = format!(
            "[package]\nname = \"tool\"\n[package.metadata.binstall]\npkg-url = \"https://a.example/{name}\"\n"
        );
        let expected = (format!("https://a.example/{name}"), format);
        assert_eq!(archives(&text, None, &[GNU]), Ok(vec![expected]));
    }
    refused(
        "pkg-url = \"https://a.example/x.tar\"",
        "no archive with this ending",
    );
    refused(
        "pkg-url = \"https://a.example/{name}\"",
        "no archive with this ending",
    );
    refused(
        "pkg-url = \"https://a.example/x.zip\"\npkg-fmt = \"tgz\"",
        "contradicts `pkg-fmt`",
    );
    for unknown in ["bin", "tar", "bz2", "tar.gz"] {
        let table = format!("pkg-url = \"https://a.example/x.zip\"\npkg-fmt = \"{unknown}\"");
        refused(&table, "heph unpacks tgz, txz, tbz2, tzstd and zip");
    }
}

#[test]
fn each_target_has_its_override_and_the_best_one_comes_first() {
    let table = format!(
        "pkg-url = \"https://a.example/all/{{ target }}.{{ archive-format }}\"\npkg-fmt = \"zip\"\n\
         [package.metadata.binstall.overrides.{MUSL}]\npkg-url = \"https://a.example/musl.txz\"\npkg-fmt = \"txz\"\n\
         [package.metadata.binstall.overrides.x86_64-pc-windows-msvc]\npkg-fmt = \"bin\"\n"
    );
    assert_eq!(
        leads_to(&table, &[GNU, MUSL]),
        Ok(vec![
            format!("https://a.example/all/{GNU}.zip"),
            "https://a.example/musl.txz".to_owned()
        ])
    );
    // What the override leaves out holds as it does for all.
    let table = format!(
        "pkg-url = \"https://a.example/{{ target }}{{ archive-suffix }}\"\n\
         [package.metadata.binstall.overrides.{GNU}]\npkg-fmt = \"zip\"\n"
    );
    assert_eq!(
        leads_to(&table, &[GNU]),
        Ok(vec![format!("https://a.example/{GNU}.zip")])
    );
    let only = format!(
        "[package.metadata.binstall.overrides.{MUSL}]\npkg-url = \"https://a.example/musl.zip\"\n"
    );
    assert_eq!(
        leads_to(&only, &[GNU, MUSL]),
        Ok(vec!["https://a.example/musl.zip".to_owned()])
    );
    assert_eq!(leads_to(&only, &[GNU]), Ok(Vec::new()));
}

#[test]
fn a_target_whose_template_will_not_do_leaves_the_others() {
    let table = format!(
        "pkg-url = \"https://a.example/{{ nonsense }}.zip\"\n\
         [package.metadata.binstall.overrides.{MUSL}]\npkg-url = \"https://a.example/musl.zip\"\n"
    );
    assert_eq!(
        leads_to(&table, &[GNU, MUSL]),
        Ok(vec!["https://a.example/musl.zip".to_owned()])
    );
}

#[test]
fn conditions_are_not_judged_unless_they_are_about_windows() {
    let with = |condition: &str, choice: &str| {
        format!(
            "pkg-url = \"https://a.example/x.zip\"\n[package.metadata.binstall.overrides.'{condition}']\n{choice}\n"
        )
    };
    for elsewhere in [
        "cfg(windows)",
        "cfg(target_os = \"windows\")",
        "cfg( target_family=\"windows\" )",
    ] {
        assert!(leads_to(&with(elsewhere, "pkg-fmt = \"zip\""), &[GNU]).is_ok());
    }
    refused(
        &with("cfg(unix)", "pkg-fmt = \"zip\""),
        "override for \"cfg(unix)\"",
    );
    refused(
        &with("cfg(not(windows))", "pkg-url = \"x\""),
        "single targets",
    );
    assert!(leads_to(&with("cfg(unix)", "bin-dir = \"{ bin }\""), &[GNU]).is_ok());
    let decided = format!(
        "{}[package.metadata.binstall.overrides.{GNU}]\npkg-url = \"https://a.example/y.tgz\"\npkg-fmt = \"tgz\"\n",
        with("cfg(unix)", "pkg-fmt = \"zip\"")
    );
    assert_eq!(
        leads_to(&decided, &[GNU]),
        Ok(vec!["https://a.example/y.tgz".to_owned()])
    );
}

#[test]
fn a_template_that_needs_more_than_is_known_is_not_honoured() {
    for key in [
        "bin",
        "url",
        "tag",
        "name | upper",
        "NAME",
        "",
        "target_arch",
    ] {
        let table = format!("pkg-url = \"https://a.example/{{ {key} }}.zip\"");
        refused(&table, "unknown key");
    }
    for broken in ["{name", "name}", "{a{b}", "a\\\\b", "{a\\\\}", "x\\\\"] {
        refused(
            &format!("pkg-url = \"https://a.example/{broken}.zip\""),
            "not a template",
        );
    }
    refused("pkg-url = 5", "not cargo-binstall's");
    refused(
        "pkg-url = \"https://a.example/x.zip\"\ndisabled-strategies = [\"crate-meta-data\"]",
        "disabled",
    );
    let others = "pkg-url = \"https://a.example/x.zip\"\ndisabled-strategies = [\"quick-install\"]\n\
                  bin-dir = \"{ bin }\"\nsigning = { algorithm = \"minisign\", pubkey = \"x\" }";
    assert!(leads_to(others, &[GNU]).is_ok());
}

#[test]
fn braces_can_be_escaped() {
    let found = leads_to("pkg-url = 'https://a.example/%5C{name}\\\\'", &[GNU]);
    assert!(found.is_err(), "a backslash is in no address");
    let template = Template::parse(r"\{{name}\}\\").unwrap();
    let facts = Facts {
        package: "tool",
        version: &Version::new(1, 0, 0),
        targets: &[],
        repository: "",
    };
    assert_eq!(template.fill(&facts, GNU, ""), Ok(r"{tool}\".to_owned()));
}

#[test]
fn the_address_has_to_be_one_that_a_forge_might_list() {
    for (url, why) in [
        ("http://a.example/x.zip", "plain http is for loopback only"),
        ("file:///x.zip", "not a URL"),
        ("ftp://a.example/x.zip", "not an https URL"),
        ("https://me:secret@a.example/x.zip", "user name or password"),
        ("{ name }/x.zip", "not a"),
        ("--config=x.zip", "not a"),
        ("https://a.example/x y.zip", "not a URL"),
        ("https://a.example/x.zip?raw=1", "plain path"),
        ("https://a.example/x?f=x.zip", "plain path"),
        ("https://a.example/x.zip#x.zip", "plain path"),
        ("https://a.example/ü.zip", "plain path"),
        ("https://a.example/%2e.zip", "not a plain file name"),
        ("https://a.example/.zip", "not a plain file name"),
        ("https://a.example/-x.zip", "not a plain file name"),
        ("https://a.example/x.zip/", "no archive with this ending"),
        ("https://a.example", "no archive with this ending"),
    ] {
        refused(&format!("pkg-url = \"{url}\""), why);
    }
    assert!(leads_to("pkg-url = \"http://127.0.0.1:1/x.zip\"", &[GNU]).is_ok());
}

#[test]
fn a_manifest_without_the_table_leads_nowhere() {
    for text in [
        "",
        "[package]\nname = \"tool\"\n",
        "[package]\nname = \"tool\"\nmetadata = 5\n",
        "[package.metadata]\nbinstall = {}\n",
        "[workspace.metadata.binstall]\npkg-url = \"https://a.example/x.zip\"\n",
        "[package.metadata.binstall]\nbin-dir = \"x\"\n",
    ] {
        assert_eq!(archives(text, None, &[GNU]), Ok(Vec::new()), "{text}");
    }
    assert!(
        CargoToml::parse("<html>")
            .unwrap_err()
            .to_string()
            .contains("not TOML")
    );
}

#[test]
fn members_are_plain_folders_or_all_below_one() {
    let manifest = CargoToml::parse(
        "[package]\nname = \"top\"\n[workspace]\nmembers = [\"cli\", \"./crates/a/\", \"crates/*\", \"*\", \"../out\", \
         \"a/../b\", \"/abs\", \"crates/x*\", \"a/*/b\", \"**\", \"a b\", \"\", \"a:b\", \"-x\", 5]\n",
    )
    .unwrap();
    let folder = |path: &str| Member::Folder(path.to_owned());
    let below = |path: &str| Member::Below(path.to_owned());
    assert_eq!(
        manifest.members(),
        [
            folder("cli"),
            folder("crates/a"),
            below("crates"),
            below(""),
            folder("-x")
        ]
    );
    assert!(manifest.is_of("top"));
    assert!(!manifest.is_of("cli"));
}

proptest! {
    #[test]
    fn whatever_a_table_says_comes_to_addresses_that_may_be_asked(
        url in "(https?://|a\\.example|127\\.0\\.0\\.1|/|\\{|\\}|\\\\| |name|target|repo|archive-suffix|\\.zip|\\.tgz|-|ü|\\?|@|:){0,14}",
        format in "(tgz|zip|bin)?",
    ) {
        let format = match format.as_str() {
            "" => String::new(),
            name => format!("pkg-fmt = '{name}'"),
        };
        let text = format!("[package.metadata.binstall]\npkg-url = '{url}'\n{format}\n");
        for (url, _) in archives(&text, None, &[GNU, MUSL]).unwrap_or_default() {
            prop_assert!(http::check(&url).is_ok());
            prop_assert!(url.bytes().all(|byte| byte.is_ascii_graphic()));
        }
    }
}
