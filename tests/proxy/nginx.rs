//! nginx with the configuration that the how-to prints: only its names, ports and places are others.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const HOW_TO: &str = include_str!("../../docs/how-to/tls-proxy.md");
const PATIENCE: Duration = Duration::from_secs(30);

/// A running nginx. It ends when dropped.
pub struct Nginx {
    process: Child,
    folder: tempfile::TempDir,
    port: u16,
}

impl Nginx {
    /// Starts one for the hub that listens on `hub`.
    pub fn start(hub: &str) -> Nginx {
        let folder = tempfile::tempdir().unwrap();
        certify(folder.path());
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .unwrap()
            .port();
        let settings = folder.path().join("nginx.conf");
        fs::write(&settings, settings_for(folder.path(), port, hub)).unwrap();
        let program = which::which_in("nginx", Some("/usr/sbin:/usr/local/sbin:/usr/bin"), "/")
            .expect("nginx is installed (Debian: package nginx-light)");
        let process = Command::new(program)
            .arg("-p")
            .arg(folder.path())
            .arg("-e")
            .arg(folder.path().join("error.log"))
            .arg("-c")
            .arg(&settings)
            .env_clear()
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut nginx = Nginx {
            process,
            folder,
            port,
        };
        let until = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = nginx.process.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < until,
                "nginx does not listen: {}",
                fs::read_to_string(nginx.folder().join("error.log")).unwrap_or_default()
            );
            thread::sleep(Duration::from_millis(20));
        }
        nginx
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

impl Drop for Nginx {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
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

/// Makes an authority and a certificate of localhost.
fn certify(folder: &Path) {
    let openssl = |arguments: &str| {
        let output = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(folder)
            .output()
            .expect("openssl is installed (package openssl)");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(&format!(
        "req -x509 -days 2 -subj /CN=authority -keyout ca.key -out ca.pem {key}"
    ));
    openssl(&format!(
        "req -subj /CN=localhost -keyout key.pem -out request.pem {key}"
    ));
    fs::write(
        folder.join("extensions"),
        "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n",
    )
    .unwrap();
    openssl(
        "x509 -req -in request.pem -days 2 -CA ca.pem -CAkey ca.key -CAcreateserial -extfile extensions -out cert.pem",
    );
}
