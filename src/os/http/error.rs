/// Sorts an error of the library into [`Failure`], in words that name the host and the cause.
pub fn failure(error: ureq::Error, host: &str, uri: &Uri, limits: &Limits) -> Failure {
    use Failure::{Refused, Unreachable};
    use ureq::Error;
    let untrusted = |why: String| {
        Unreachable(format!(
            "cannot trust {host}: {why} (for a private certificate authority, let SSL_CERT_FILE name its PEM file)"
        ))
    };
    match error {
        Error::Timeout(Timeout::Resolve | Timeout::Connect) => Unreachable(format!(
            "cannot connect to {host} within {} s",
            limits.connect.as_secs_f32()
        )),
        Error::Timeout(Timeout::PerRead) => Unreachable(format!(
            "{host} sent nothing for {} s",
            limits.idle.as_secs_f32()
        )),
        Error::Timeout(_) => Unreachable(format!(
            "{host} took longer than {} s to answer",
            limits.total.as_secs_f32()
        )),
        Error::Io(io) => match io.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => Unreachable(format!("the answer of {host} was cut off")),
            // The TLS library wraps its errors so; plain connections have no such kind.
            io::ErrorKind::InvalidData => untrusted(io.to_string()),
            _ => Unreachable(format!("cannot reach {host}: {io}")),
        },
        Error::Rustls(tls) => untrusted(tls.to_string()),
        Error::Tls(tls) => untrusted(tls.to_owned()),
        Error::Pem(pem) => untrusted(pem.to_string()),
        Error::HostNotFound => Unreachable(format!("cannot find the address of {host}")),
        Error::ConnectionFailed => Unreachable(format!("cannot connect to {host}")),
        Error::ConnectProxyFailed(why) => Unreachable(format!(
            "cannot reach {host}: the proxy refused: {}",
            text::excerpt(&why, 200)
        )),
        Error::InvalidProxyUrl => Refused(format!(
            "cannot reach {host}: the proxy in HTTPS_PROXY or ALL_PROXY is not an http(s) address"
        )),
        Error::Decompress(_, io) if io.kind() == io::ErrorKind::UnexpectedEof => {
            Unreachable(format!("the answer of {host} was cut off"))
        }
        Error::Decompress(kind, io) => {
            Refused(format!("the answer of {host} is damaged {kind}: {io}"))
        }
        Error::BodyExceedsLimit(_) => too_large(host, limits),
        Error::LargeResponseHeader(..) => Refused(format!("the headers of {host} are too large")),
        Error::Protocol(why) => Refused(format!(
            "{host} does not speak proper http: {}",
            text::excerpt(&why.to_string(), 200)
        )),
        other => Refused(format!("cannot ask {host} for '{}': {other}", uri.path())),
    }
}

