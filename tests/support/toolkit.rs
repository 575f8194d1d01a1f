//! A second OpenID provider on loopback: PyPI's `django-oauth-toolkit`, and a person with a browser.
//!
//! Unlike the first one, its users enter the code of the device by hand, and its device grant brings no id token.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::call::Call;
use super::provider::{attribute, curl, fetched};
use super::running::Running;

const SOURCES: [(&str, &str); 2] = [
    ("requirements.txt", include_str!("toolkit/requirements.txt")),
    ("server.py", include_str!("toolkit/server.py")),
];

/// A provider of its own for one test; it ends with the value.
pub struct Toolkit {
    _process: Running,
    pub issuer: String,
}

impl Toolkit {
    pub fn start() -> Toolkit {
        let folder = installed();
        let python = Call::of(folder.join("venv/bin/python")).args(&[folder.join("server.py")]);
        let mut process = python.open_input().start();
        let issuer = process.line("http://127.0.0.1:");
        Toolkit {
            _process: process,
            issuer,
        }
    }

    /// Logs `user` in with a browser, enters the code of the device, and chooses `action`: "accept" or "deny".
    pub fn decide(&self, user: &str, code: &str, action: &str) {
        let cookies = tempfile::tempdir().unwrap();
        let jar = cookies.path().join("jar");
        let mut page = load(&jar, &format!("{}/device/", self.issuer), &[]);
        for field in [
            [("username", user), ("password", "any")].as_slice(),
            &[("user_code", code)],
            &[("action", action)],
        ] {
            let token = page.1.split("csrfmiddlewaretoken").nth(1);
            let token = token.unwrap_or_else(|| panic!("no form at {}: {}", page.0, page.1));
            let token = attribute(token, "value").unwrap();
            let mut fields = vec![("csrfmiddlewaretoken", token.as_str())];
            fields.extend(field);
            page = load(&jar, &page.0, &fields);
        }
        assert!(page.0.contains("/device-grant-status/"), "{}", page.1);
    }

    /// Revokes a refresh token, as its user or an administrator does. Returns nothing: the provider never says whether it knew
    /// the token (RFC 7009, section 2.2).
    pub fn revoke(&self, token: &str) {
        let fields = ["--data", "client_id=heph", "--data-urlencode"];
        let token = format!("token={token}");
        let url = format!("{}/revoke_token/", self.issuer);
        curl(&[fields.as_slice(), &[&token, "--fail", &url]].concat());
    }
}

/// Returns where a page is, in the end, and its text.
fn load(jar: &Path, url: &str, fields: &[(&str, &str)]) -> (String, String) {
    let jar = jar.to_str().unwrap();
    let mut arguments = vec!["--location", "--fail", "--cookie", jar, "--cookie-jar", jar];
    arguments.extend(["--write-out", "\n%{url_effective}"]);
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    for field in &fields {
        arguments.extend(["--data-urlencode", field]);
    }
    arguments.push(url);
    let answer = curl(&arguments);
    let (html, url) = answer.rsplit_once('\n').unwrap();
    (url.to_owned(), html.to_owned())
}

/// Returns the folder with the provider and all that it needs.
fn installed() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| fetched("toolkit", &SOURCES, install))
}

fn install(folder: &Path, _: &Path) {
    let python = Call::of("python3").args("-m venv venv").current_dir(folder);
    python.exits(0);
    // Wheels only: nothing of a package runs while it is installed.
    let pip = Call::of(folder.join("venv/bin/pip"))
        .args("install --quiet --no-cache-dir --no-deps --only-binary=:all:");
    pip.args("--disable-pip-version-check --no-input --requirement requirements.txt")
        .current_dir(folder)
        .exits(0);
}
