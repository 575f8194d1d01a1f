//! Generated units, judged by systemd itself.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;

use heph::flags::Flag;
use heph::platform::service::arguments::ServiceFlags;
use heph::platform::service::definition::{Definition, Environment};
use heph::platform::service::systemd::{socket, unit};

use crate::support::call::Call;
use crate::support::files::{mode, script};
use crate::support::home::ODD_NAME;
use crate::support::manager::UserManager;
use crate::support::wait::eventually;

/// Texts that go wrong where one layer of quoting is missing or one too many is there.
const NASTY: [&str; 12] = [
    "plain",
    " two  spaces ",
    "100% %h %% %n",
    "$HOME ${HOME} $$ $",
    "\\ \\n \\x41 \\\\",
    "' \" `",
    "; \\; ;",
    "--mode=server",
    "#no [Service] comment",
    "é日本😀\u{a0}\u{2028}",
    "a=b=c",
    "ends in \\",
];

fn definition(program: &Path, log: &Path, values: &[&str], store: &str) -> Definition {
    let mut flags = ServiceFlags::default();
    for (flag, value) in Flag::all().zip(values) {
        flags.set(flag, *value).unwrap();
    }
    let variables = [
        ("HEPH_DB".into(), format!("/{store}").into()),
        ("HEPH_SOCKET".into(), format!("/{store}/s").into()),
    ];
    let environment = Environment::from_variables(variables).unwrap();
    Definition::new(program, flags, environment, log).unwrap()
}

#[test]
fn systemd_accepts_every_unit() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tempfile::tempdir().unwrap();
    for name in NASTY.into_iter().chain([ODD_NAME]) {
        let home = folder.path().join(name);
        let program = home.join("hephd");
        script(&program, "");
        let log = home.join("hephd.log");
        let definition = definition(&program, &log, &NASTY, name);
        // Under a plain path: how systemd-analyze is given the files is not what is tested.
        let plain = folder.path().join("heph.service");
        fs::write(&plain, unit::render(&definition).unwrap()).unwrap();
        let plain_socket = folder.path().join("heph.socket");
        fs::write(&plain_socket, socket::render(&definition).unwrap()).unwrap();
        let environment = [
            ("PATH", Path::new("/usr/bin:/bin")),
            ("HOME", folder.path()),
            ("XDG_RUNTIME_DIR", runtime.path()),
        ];
        let analyze = Call::clean("systemd-analyze", environment).args("--user verify");
        let said = analyze.args(&[&plain, &plain_socket]).exits(0).err;
        assert!(!said.contains("heph.s"), "{name}: {said}");
    }
}

#[test]
fn hephd_gets_exactly_the_arguments_and_variables_that_were_baked() {
    let folder = tempfile::tempdir().unwrap();
    let manager = UserManager::start(folder.path());
    let units = folder.path().join(".config/systemd/user");
    fs::create_dir_all(&units).unwrap();
    for (round, name) in NASTY.into_iter().chain([ODD_NAME]).enumerate() {
        let home = folder.path().join(format!("{round} {name}"));
        let program = home.join("bin/hephd");
        let log = home.join("hephd.log");
        // Arguments are separated by what none of them can hold.
        script(
            &program,
            "printf '%s\\n' \"$@\" \"$HEPH_DB\" END\nexec sleep 1000",
        );
        let mut values = NASTY;
        values.rotate_left(round % NASTY.len());
        let definition = definition(&program, &log, &values, name);
        fs::write(
            units.join("heph.service"),
            unit::render(&definition).unwrap(),
        )
        .unwrap();
        manager.systemctl("daemon-reload");
        manager.systemctl("start --no-block heph.service");
        let mut expected = definition.flags.to_arguments();
        expected.extend([format!("/{name}"), "END".to_owned()]);
        let said = || fs::read_to_string(&log).unwrap_or_default();
        eventually(&format!("hephd of {name:?} starts"), || {
            said().ends_with("END\n")
        });
        assert_eq!(
            said().split_terminator('\n').collect::<Vec<_>>(),
            expected,
            "{name}"
        );
        manager.systemctl("stop heph.service");
    }
}

#[test]
fn systemd_listens_exactly_where_hephd_would() {
    let folder = tempfile::Builder::new()
        .prefix("s-")
        .tempdir_in("/tmp")
        .unwrap();
    let manager = UserManager::start(folder.path());
    let units = folder.path().join(".config/systemd/user");
    fs::create_dir_all(&units).unwrap();
    let program = folder.path().join("hephd");
    script(&program, "echo \"fds=$LISTEN_FDS\"\nexec sleep 1000");
    for (round, name) in NASTY.into_iter().chain([ODD_NAME]).enumerate() {
        let path = folder.path().join(format!("{round} {name}/s"));
        let port = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = port.local_addr().unwrap();
        let log = folder.path().join(format!("{round}.log"));
        let arguments = ["--mode=server".to_owned(), format!("--http-addr={address}")];
        let (flags, _) = ServiceFlags::from_arguments(&arguments).unwrap();
        let variables = [("HEPH_SOCKET".into(), path.clone().into())];
        let environment = Environment::from_variables(variables).unwrap();
        let definition = Definition::new(&program, flags, environment, &log).unwrap();
        fs::write(
            units.join("heph.service"),
            unit::render(&definition).unwrap(),
        )
        .unwrap();
        fs::write(
            units.join("heph.socket"),
            socket::render(&definition).unwrap(),
        )
        .unwrap();
        manager.systemctl("daemon-reload");
        let start = |fds: &str| {
            drop(fs::remove_file(&log));
            manager.systemctl("start --no-block heph.service");
            let said = || fs::read_to_string(&log).unwrap_or_default();
            eventually(&format!("hephd of {name:?} starts"), || said() == fds);
        };
        // The port is taken: hephd is started all the same, and will tell why it cannot serve.
        start("fds=\n");
        manager.systemctl("stop heph.service");
        drop(port);
        start("fds=2\n");
        UnixStream::connect(&path).unwrap();
        assert_eq!(mode(&path), 0o600, "{name}");
        TcpStream::connect(address).unwrap();
        manager.systemctl("stop heph.service");
        eventually(&format!("the path of {name:?} goes"), || !path.exists());
        assert!(TcpStream::connect(address).is_err());
    }
}
