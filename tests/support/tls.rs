//! TLS on loopback: certificates of a private authority, and `openssl s_server`.

use std::fs;
use std::path::{Path, PathBuf};

use super::call::Call;
use super::running::Running;

/// Makes an authority (`ca.pem`) and a certificate of localhost and `forge.test` (`cert.pem`, `key.pem`) in `folder`.
pub fn certify(folder: &Path) {
    let openssl = |words: &str| {
        let openssl = Call::of("openssl").args(words);
        openssl.current_dir(folder).exits(0);
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(&format!(
        "req -x509 -days 2 -subj '/CN=A private authority' -keyout ca.key -out ca.pem {key}"
    ));
    openssl(&format!(
        "req -subj /CN=forge.test -keyout key.pem -out request.pem {key}"
    ));
    fs::write(
        folder.join("extensions"),
        "subjectAltName=DNS:forge.test,DNS:localhost\nbasicConstraints=CA:FALSE\n",
    )
    .unwrap();
    openssl(
        "x509 -req -in request.pem -days 2 -CA ca.pem -CAkey ca.key -CAcreateserial -extfile extensions -out cert.pem",
    );
}

/// A TLS server that answers from a folder of files; it ends with the value.
pub struct TlsServer {
    _process: Running,
    pub port: u16,
    folder: tempfile::TempDir,
}

impl TlsServer {
    pub fn start() -> TlsServer {
        let folder = tempfile::tempdir().unwrap();
        certify(folder.path());
        let server = Call::of("openssl").current_dir(folder.path());
        let server = server.args("s_server -accept 127.0.0.1:0 -cert cert.pem -key key.pem -HTTP");
        let mut process = server.open_input().start();
        let accepts = process.line("ACCEPT 127.0.0.1:");
        TlsServer {
            port: accepts.rsplit(':').next().unwrap().parse().unwrap(),
            _process: process,
            folder,
        }
    }

    /// Answers `/name` with these bytes, headers included.
    pub fn serves(self, name: &str, bytes: &str) -> TlsServer {
        let file = self.folder.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, bytes).unwrap();
        self
    }

    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }
}
