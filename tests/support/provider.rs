//! A certified OpenID provider on loopback (npm `oidc-provider`), and a person with a browser.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::call::Call;
use super::programs;
use super::running::Running;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The name of heph at the provider.
pub const CLIENT: &str = "heph";
/// The audience of access tokens, unless a test sets another.
pub const AUDIENCE: &str = "urn:heph:hub";

const SOURCES: [(&str, &str); 4] = [
    ("package.json", include_str!("provider/package.json")),
    (
        "package-lock.json",
        include_str!("provider/package-lock.json"),
    ),
    (".npmrc", include_str!("provider/.npmrc")),
    ("server.mjs", include_str!("provider/server.mjs")),
];

/// A provider of its own for one test; it ends with the value.
pub struct Provider {
    _process: Running,
    pub issuer: String,
}

impl Provider {
    pub fn start() -> Provider {
        let node = Call::of("node").args(&[installed().join("server.mjs")]);
        let mut process = node.open_input().start();
        let issuer = process.line("http://127.0.0.1:");
        Provider {
            _process: process,
            issuer,
        }
    }

    /// Changes settings of `server.mjs`, from the next request on.
    pub fn set(&self, settings: Value) {
        self.post("/test/settings", &["--data", &settings.to_string()]);
    }

    /// Throws its signing keys away and makes new ones.
    pub fn rotate_keys(&self) {
        self.post("/test/keys", &["--data", ""]);
    }

    /// Returns how often each endpoint was asked since the last call, by its path.
    pub fn counts(&self) -> Value {
        self.post("/test/counts", &["--data", ""])
    }

    /// Returns an access token of `user`, got in the same way as heph gets one.
    pub fn access_token(&self, user: &str) -> String {
        let field = |answer: &Value, name: &str| {
            answer[name]
                .as_str()
                .unwrap_or_else(|| panic!("no {name} in {answer}"))
                .to_owned()
        };
        let client = format!("client_id={CLIENT}");
        let scope = "scope=openid offline_access";
        let asked = self.post(
            "/device/auth",
            &["--data", &client, "--data-urlencode", scope],
        );
        let person = Browser::of(user);
        person.confirm(&field(&asked, "verification_uri_complete"));
        let grant = "grant_type=urn:ietf:params:oauth:grant-type:device_code";
        let code = format!("device_code={}", field(&asked, "device_code"));
        let fields = [
            "--data",
            &client,
            "--data-urlencode",
            grant,
            "--data-urlencode",
            &code,
        ];
        field(&self.post("/token", &fields), "access_token")
    }

    /// Returns the public keys that it publishes (RFC 7517, section 5).
    pub fn keys(&self) -> Value {
        serde_json::from_str(&curl(&[&format!("{}/jwks", self.issuer)])).unwrap()
    }

    fn post(&self, path: &str, arguments: &[&str]) -> Value {
        let url = format!("{}{path}", self.issuer);
        let answer = curl(&[&[url.as_str()], arguments].concat());
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer}"))
    }
}

/// A browser with cookies, and who sits before it.
pub struct Browser {
    cookies: tempfile::TempDir,
    user: String,
}

/// A page, and where it is.
struct Page {
    url: String,
    html: String,
}

impl Browser {
    pub fn of(user: &str) -> Browser {
        Browser {
            cookies: tempfile::tempdir().unwrap(),
            user: user.to_owned(),
        }
    }

    /// Opens `address`, which holds the code already, logs in, and says yes to all.
    pub fn confirm(&self, address: &str) {
        let page = self.open(address);
        // Submitted by a script of the page.
        let page = self.submit(&page, &[]);
        self.say_yes(page);
    }

    /// Opens `address`, enters `code`, logs in, and says yes to all.
    pub fn enter(&self, address: &str, code: &str) {
        let page = self.submit(&self.open(address), &[("user_code", code)]);
        self.say_yes(page);
    }

    /// Opens `address`, which holds the code already, and aborts.
    pub fn deny(&self, address: &str) {
        let page = self.submit(&self.open(address), &[]);
        let page = self.submit(&page, &[("abort", "yes")]);
        assert!(page.html.contains("was interrupted"), "{}", page.html);
    }

    fn say_yes(&self, mut page: Page) {
        // What device it is, who, and whether heph may.
        for _ in 0..5 {
            if page.html.contains("Sign-in Success") {
                return;
            }
            page = self.submit(&page, &[("login", &self.user), ("password", "any")]);
        }
        panic!("no end of questions at {}: {}", page.url, page.html);
    }

    fn open(&self, address: &str) -> Page {
        self.load(address, &[])
    }

    /// Submits the form of `page`: its hidden fields, and of `answers` those that it asks for.
    fn submit(&self, page: &Page, answers: &[(&str, &str)]) -> Page {
        let form = page
            .html
            .split("<form")
            .nth(1)
            .unwrap_or_else(|| panic!("no form: {}", page.html));
        let action = attribute(form, "action").unwrap();
        let mut fields = Vec::new();
        for input in form
            .split("</form>")
            .next()
            .unwrap()
            .split("<input")
            .skip(1)
        {
            let input = input.split('>').next().unwrap();
            let name = attribute(input, "name").unwrap();
            let answer = answers.iter().find(|(asked, _)| *asked == name);
            let value = answer.map(|(_, value)| (*value).to_owned());
            let value = value.or(attribute(input, "value")).unwrap_or_default();
            fields.push(format!("{name}={value}"));
        }
        // Buttons are beside the form.
        if let Some((name, value)) = answers.iter().find(|(name, _)| *name == "abort") {
            fields.push(format!("{name}={value}"));
        }
        self.load(&action, &fields)
    }

    fn load(&self, url: &str, fields: &[String]) -> Page {
        let jar = self.cookies.path().join("jar");
        let jar = jar.to_str().unwrap();
        let mut arguments = vec!["--location", "--cookie", jar, "--cookie-jar", jar];
        arguments.extend(["--write-out", "\n%{url_effective}"]);
        for field in fields {
            arguments.extend(["--data-urlencode", field]);
        }
        arguments.push(url);
        let answer = curl(&arguments);
        let (html, url) = answer.rsplit_once('\n').unwrap();
        Page {
            url: url.to_owned(),
            html: html.to_owned(),
        }
    }
}

/// Returns the attribute `name` of the first element in `html`.
pub(super) fn attribute(html: &str, name: &str) -> Option<String> {
    let (_, rest) = html.split_once(&format!(" {name}=\""))?;
    Some(rest.split('"').next()?.to_owned())
}

#[track_caller]
pub(super) fn curl(arguments: &[&str]) -> String {
    let curl = Call::of("curl").args("--silent --show-error --max-time 60 --noproxy *");
    curl.args(arguments).prints()
}

/// Returns the folder with the provider and all that it needs.
fn installed() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| fetched("provider", &SOURCES, install))
}

/// Returns a folder with `sources` and what `install` fetches for them, once for each build folder. The second argument of
/// `install` is the folder that holds all of these.
pub(super) fn fetched(name: &str, sources: &[(&str, &str)], install: fn(&Path, &Path)) -> PathBuf {
    let mut digest = Sha256::new();
    sources.iter().for_each(|(_, text)| digest.update(text));
    let digest = heph::os::files::hex(&digest.finalize());
    let all = programs::cache();
    fs::create_dir_all(all).unwrap();
    // Several tests begin at once, in several processes.
    let lock = File::create(all.join(format!("{name}.lock"))).unwrap();
    lock.lock().unwrap();
    let folder = all.join(format!("{name}-{}", &digest[..16]));
    let complete = folder.join("complete");
    if !complete.exists() {
        fs::create_dir_all(&folder).unwrap();
        for (name, text) in sources {
            fs::write(folder.join(name), text).unwrap();
        }
        install(&folder, all);
        fs::write(complete, "").unwrap();
    }
    folder
}

fn install(folder: &Path, all: &Path) {
    // Nothing is left outside of the build folder.
    let npm = Call::of("npm").args(&["--cache".as_ref(), all.join("npm-cache").as_path()]);
    npm.args("ci --ignore-scripts --no-audit --no-fund --prefer-offline")
        .current_dir(folder)
        .exits(0);
}
