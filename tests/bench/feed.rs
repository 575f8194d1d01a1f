//! A feed over TLS: nginx on loopback with a certificate of its own authority, serving one static answer with an ETag.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

const PROJECT: &str = "eblume/hephaestus";
const PATIENCE: Duration = Duration::from_secs(10);

/// A running nginx. It ends when dropped.
pub struct TlsFeed {
    nginx: Child,
    folder: PathBuf,
    port: u16,
}

impl TlsFeed {
    /// Starts one that names `tag` as the latest release, with its files in the folder `folder`.
    pub fn start(folder: &Path, tag: &str) -> TlsFeed {
        fs::create_dir_all(folder).unwrap();
        certify(folder);
        let answer = folder.join(format!("www/api/v1/repos/{PROJECT}/releases/latest"));
        fs::create_dir_all(answer.parent().unwrap()).unwrap();
        fs::write(&answer, release(tag)).unwrap();
        // The first check reads the list, too.
        let list = folder.join("www/list.json");
        fs::write(&list, format!("[{}]", release(tag))).unwrap();
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .unwrap()
            .port();
        let settings = folder.join("nginx.conf");
        fs::write(&settings, configuration(folder, port)).unwrap();
        let nginx = which::which_in("nginx", Some("/usr/sbin:/usr/local/sbin:/usr/bin"), "/")
            .expect("nginx is installed (Debian: package nginx-light)");
        let nginx = Command::new(nginx)
            .arg("-p")
            .arg(folder)
            .arg("-e")
            .arg(folder.join("error.log"))
            .arg("-c")
            .arg(&settings)
            .env_clear()
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut feed = TlsFeed {
            nginx,
            folder: folder.to_owned(),
            port,
        };
        feed.wait_until_it_listens();
        feed
    }

    /// Returns the repository, as the setting `repository` takes it.
    pub fn repository(&self) -> String {
        format!("https://localhost:{}/{PROJECT}", self.port)
    }

    /// Returns the address of the feed.
    pub fn url(&self) -> String {
        format!(
            "https://localhost:{}/api/v1/repos/{PROJECT}/releases/latest",
            self.port
        )
    }

    /// Returns the certificate of the authority (PEM).
    pub fn authority(&self) -> PathBuf {
        self.folder.join("ca.crt")
    }

    /// Returns how many requests of the program `agent` were answered with `status`.
    pub fn answered(&self, agent: &str, status: u16) -> usize {
        let wanted = format!("{status} {agent}/");
        fs::read_to_string(self.folder.join("access.log"))
            .unwrap()
            .lines()
            .filter(|line| line.starts_with(&wanted))
            .count()
    }

    fn wait_until_it_listens(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let ended = self.nginx.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "nginx does not listen: {}",
                fs::read_to_string(self.folder.join("error.log")).unwrap_or_default()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for TlsFeed {
    fn drop(&mut self) {
        drop(self.nginx.kill());
        drop(self.nginx.wait());
    }
}

/// Makes `ca.crt`, and `server.crt` for localhost signed by it.
fn certify(folder: &Path) {
    let openssl = |arguments: &[&str]| {
        let output = Command::new("openssl")
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::null())
            .output()
            .expect("openssl is installed");
        assert!(
            output.status.success(),
            "openssl {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    let key = [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ];
    let request =
        |more: &[&str]| openssl(&[&["req", "-x509", "-days", "30"], &key[..], more].concat());
    request(&[
        "-keyout",
        "ca.key",
        "-out",
        "ca.crt",
        "-subj",
        "/CN=An authority for a benchmark",
        "-addext",
        "keyUsage=critical,keyCertSign,cRLSign",
    ]);
    request(&[
        "-keyout",
        "server.key",
        "-out",
        "server.crt",
        "-subj",
        "/CN=localhost",
        "-CA",
        "ca.crt",
        "-CAkey",
        "ca.key",
        "-addext",
        "subjectAltName=DNS:localhost,IP:127.0.0.1",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
        "-addext",
        "extendedKeyUsage=serverAuth",
    ]);
}

/// Returns a release as Forgejo describes it, notes and all.
fn release(tag: &str) -> String {
    let url = format!("https://localhost/{PROJECT}");
    let notes = "### Fixed\n\n- One line of what was fixed, as long as such lines usually are.\n"
        .repeat(15);
    json!({
        "id": 1, "tag_name": tag, "target_commitish": "main", "name": tag, "body": notes,
        "url": format!("{url}/releases/1"), "html_url": format!("{url}/releases/tag/{tag}"),
        "tarball_url": format!("{url}/archive/{tag}.tar.gz"), "zipball_url": format!("{url}/archive/{tag}.zip"),
        "hide_archive_links": false, "upload_url": format!("{url}/releases/1/assets"),
        "draft": false, "prerelease": false,
        "created_at": "2026-01-01T00:00:00Z", "published_at": "2026-01-01T00:00:00Z",
        "author": { "id": 1, "login": "eblume", "full_name": "", "email": "eblume@localhost" },
        "assets": [], "archive_download_count": { "zip": 0, "tar_gz": 0 },
    })
    .to_string()
}

fn configuration(folder: &Path, port: u16) -> String {
    let folder = folder.display();
    format!(
        r#"daemon off;
master_process off;
pid "{folder}/nginx.pid";
error_log "{folder}/error.log";
events {{}}
http {{
    log_format agent '$status $http_user_agent';
    access_log "{folder}/access.log" agent;
    client_body_temp_path "{folder}/temporary";
    proxy_temp_path "{folder}/temporary";
    fastcgi_temp_path "{folder}/temporary";
    uwsgi_temp_path "{folder}/temporary";
    scgi_temp_path "{folder}/temporary";
    server {{
        listen 127.0.0.1:{port} ssl;
        server_name localhost;
        ssl_certificate "{folder}/server.crt";
        ssl_certificate_key "{folder}/server.key";
        root "{folder}/www";
        default_type application/json;
        location = /api/v1/repos/{PROJECT}/releases {{
            access_log off;
            try_files /list.json =404;
        }}
    }}
}}
"#
    )
}
