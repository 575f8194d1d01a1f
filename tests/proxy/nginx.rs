//! nginx with the configuration that the how-to prints: only its names, ports and places are others.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use crate::support::call::Call;
use crate::support::node::free_port;
use crate::support::running::Running;
use crate::support::tls::certify;
use crate::support::wait::{PATIENCE, until};

const HOW_TO: &str = include_str!("../../docs/how-to/tls-proxy.md");

/// A running nginx. It ends when dropped.
pub struct Nginx {
    _process: Running,
    folder: tempfile::TempDir,
    port: u16,
}

impl Nginx {
    /// Starts one for the hub that listens on `hub`.
    pub fn start(hub: &str) -> Nginx {
        Nginx::start_with(hub, certify, str::to_owned)
    }

    /// Starts one with the certificate that `certify` makes in its folder, and with changed settings.
    pub fn start_with(
        hub: &str,
        certify: impl FnOnce(&Path),
        change: impl FnOnce(&str) -> String,
    ) -> Nginx {
        let folder = tempfile::tempdir().unwrap();
        certify(folder.path());
        let port = free_port();
        let settings = folder.path().join("nginx.conf");
        fs::write(&settings, change(&settings_for(folder.path(), port, hub))).unwrap();
        let program = which::which_in("nginx", Some("/usr/sbin:/usr/local/sbin:/usr/bin"), "/")
            .expect("nginx is installed (Debian: package nginx-light)");
        let errors = folder.path().join("error.log");
        let mut process = Call::clean(program, [("", ""); 0])
            .args(&["-p".as_ref(), folder.path(), "-e".as_ref(), &errors])
            .args(&["-c".as_ref(), settings.as_path()])
            .start();
        until(PATIENCE, || {
            let errors = || fs::read_to_string(&errors).unwrap_or_default();
            assert!(!process.has_ended(), "nginx ended: {}", errors());
            match TcpStream::connect(("127.0.0.1", port)) {
                Ok(_) => Ok(()),
                Err(error) => Err(format!("{error} {}", errors())),
            }
        });
        Nginx {
            _process: process,
            folder,
            port,
        }
    }

    /// Returns the address that spokes are given.
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// Returns the certificate of the authority (PEM).
    pub fn authority(&self) -> PathBuf {
        self.folder().join("ca.pem")
    }

    /// Returns a folder that is gone with it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// Returns the command of the how-to that makes a certificate for localhost.
pub fn certificate_command() -> String {
    let (_, after) = HOW_TO.split_once("    openssl req").unwrap();
    let (words, _) = after.split_once("\n\n").unwrap();
    let words = words.replace("\\\n", " ");
    words.replace("hub.example.org", "localhost")
}

/// Returns the block of the how-to in what every nginx.conf has around it.
fn settings_for(folder: &Path, port: u16, hub: &str) -> String {
    let (_, after) = HOW_TO.split_once("```nginx\n").unwrap();
    let (block, _) = after.split_once("```").unwrap();
    let folder = folder.display();
    let mut block = block.to_owned();
    for (theirs, ours) in [
        ("127.0.0.1:7345", hub.to_owned()),
        ("443 ssl", format!("127.0.0.1:{port} ssl")),
        ("hub.example.org", "localhost".to_owned()),
        ("/etc/ssl/heph/cert.pem", format!("{folder}/cert.pem")),
        ("/etc/ssl/heph/key.pem", format!("{folder}/key.pem")),
    ] {
        assert!(block.contains(theirs), "the how-to says {theirs}");
        block = block.replace(theirs, &ours);
    }
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("    {name}_temp_path {folder}/{name};\n"))
        .concat();
    // One process, so that ending it ends all of it.
    format!(
        "daemon off;\nmaster_process off;\npid {folder}/nginx.pid;\nevents {{}}\nhttp {{\n    access_log off;\n{temporary}\n{block}}}\n"
    )
}
