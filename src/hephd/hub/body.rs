//! Bodies: read within bounds of size and time, and encoded (RFC 9110, section 8.4).

use std::borrow::Cow;
use std::io::{Read, Write};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use http_body_util::BodyExt as _;
use tokio::time::timeout;

use super::rejection::{Rejection, invalid, too_large};
use crate::error::{Error, Result};
use crate::hephd::protocol::LARGEST_BODY;

/// How long a body may take to arrive.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Below this, compressing an answer costs more than it saves, in bytes.
const SMALL: usize = 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
}

/// Checks that a request carries JSON. Returns how it is encoded and how many bytes it announces, at most
/// [`LARGEST_BODY`].
pub(super) fn announced(headers: &HeaderMap) -> Result<(Encoding, usize), Rejection> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let media = text(header::CONTENT_TYPE).unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim();
    if !media.eq_ignore_ascii_case("application/json") {
        let message = "the Content-Type is not application/json";
        return Err(Rejection::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
    }
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    let encoding = match (encodings.next(), encodings.next()) {
        (None, _) => Encoding::Identity,
        (Some(one), None) if one.as_bytes().eq_ignore_ascii_case(b"identity") => Encoding::Identity,
        (Some(one), None) if one.as_bytes().eq_ignore_ascii_case(b"gzip") => Encoding::Gzip,
        _ => {
            let message = "the Content-Encoding is neither gzip nor identity";
            let rejection = Rejection::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message);
            let gzip = HeaderValue::from_static("gzip");
            return Err(rejection.with_header(header::ACCEPT_ENCODING, gzip));
        }
    };
    // hyper has rejected what is not a number.
    let length = text(header::CONTENT_LENGTH).and_then(|length| length.parse().ok());
    match length {
        Some(length) if length > LARGEST_BODY => Err(above_limit().into()),
        Some(length) => Ok((encoding, length)),
        None => Ok((encoding, LARGEST_BODY)),
    }
}

/// Reads a body to its end.
pub(super) async fn read(mut body: Body) -> Result<Vec<u8>, Rejection> {
    let reading = async {
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| invalid("the body is incomplete"))?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            if bytes.len() + data.len() > LARGEST_BODY {
                return Err(above_limit().into());
            }
            bytes.extend_from_slice(&data);
        }
        Ok(bytes)
    };
    timeout(READ_TIMEOUT, reading).await.unwrap_or_else(|_| {
        let seconds = READ_TIMEOUT.as_secs();
        let message = format!("the body did not arrive within {seconds} s");
        let rejection = Rejection::new(StatusCode::REQUEST_TIMEOUT, message);
        Err(rejection.with_header(header::CONNECTION, HeaderValue::from_static("close")))
    })
}

pub(super) fn above_limit() -> Error {
    too_large(format!(
        "the body has more than {LARGEST_BODY} bytes, compressed or decompressed"
    ))
}

/// Decodes a body; `None` where the result has more than `limit` bytes.
pub(super) fn decoded(
    bytes: &[u8],
    encoding: Encoding,
    limit: usize,
) -> Result<Option<Cow<'_, [u8]>>> {
    match encoding {
        Encoding::Identity => Ok((bytes.len() <= limit).then_some(Cow::Borrowed(bytes))),
        Encoding::Gzip => {
            let mut decoded = Vec::new();
            MultiGzDecoder::new(bytes)
                .take(limit as u64 + 1)
                .read_to_end(&mut decoded)
                .map_err(|error| invalid(format!("the body is not gzip: {error}")))?;
            Ok((decoded.len() <= limit).then_some(Cow::Owned(decoded)))
        }
    }
}

/// Compresses `bytes` where that is accepted and worth it. Returns the encoding as well.
pub(super) fn encoded(bytes: Vec<u8>, accepts_gzip: bool) -> (Vec<u8>, Encoding) {
    if !accepts_gzip || bytes.len() < SMALL {
        return (bytes, Encoding::Identity);
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    match encoder.write_all(&bytes).and_then(|()| encoder.finish()) {
        Ok(gzip) => (gzip, Encoding::Gzip),
        // Writing to memory does not fail; if it did, the plain bytes are as good.
        Err(_) => (bytes, Encoding::Identity),
    }
}

/// Returns whether `Accept-Encoding` permits gzip.
pub(super) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let lists = headers.get_all(header::ACCEPT_ENCODING).iter();
    let mut members = lists
        .filter_map(|list| list.to_str().ok())
        .flat_map(|list| list.split(','));
    members.any(|member| {
        let (coding, weight) = member.split_once(';').unwrap_or((member, ""));
        let weight = weight.trim().strip_prefix("q=").unwrap_or("1");
        let never = weight.parse::<f32>().is_ok_and(|weight| weight <= 0.0);
        coding.trim().eq_ignore_ascii_case("gzip") && !never
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn bodies_are_json_or_gzip_of_it_and_bounded() {
        let json = ("content-type", "Application/JSON; charset=utf-8");
        let status = |pairs: &[(&'static str, &str)]| {
            announced(&headers(pairs)).map_err(|rejection| rejection.status.as_u16())
        };
        assert_eq!(status(&[json]), Ok((Encoding::Identity, LARGEST_BODY)));
        let gzip = ("content-encoding", "GZIP");
        assert_eq!(
            status(&[json, gzip, ("content-length", "7")]),
            Ok((Encoding::Gzip, 7))
        );
        assert_eq!(status(&[]), Err(415));
        assert_eq!(status(&[("content-type", "text/plain")]), Err(415));
        assert_eq!(status(&[json, ("content-encoding", "br")]), Err(415));
        assert_eq!(status(&[json, gzip, gzip]), Err(415));
        let length = (LARGEST_BODY + 1).to_string();
        assert_eq!(status(&[json, ("content-length", &length)]), Err(413));
    }

    #[test]
    fn gzip_is_decoded_within_bounds() {
        let bomb = |bytes: usize| encoded(vec![b' '; bytes], true).0;
        let large = |bytes: Vec<u8>| {
            let decoded = decoded(&bytes, Encoding::Gzip, LARGEST_BODY).unwrap();
            decoded.map(|decoded| decoded.len())
        };
        assert_eq!(large(bomb(LARGEST_BODY)), Some(LARGEST_BODY));
        assert_eq!(large(bomb(LARGEST_BODY + 1)), None);
        assert_eq!(large(bomb(100 << 20)), None);
        // Many small members are a bomb as well.
        assert_eq!(large(bomb(1 << 20).repeat(5)), None);
        assert!(decoded(&[0; 10], Encoding::Identity, 9).unwrap().is_none());
        let kind = |bytes: &[u8]| {
            let error = decoded(bytes, Encoding::Gzip, LARGEST_BODY).unwrap_err();
            error.kind()
        };
        assert_eq!(kind(b"{}"), Kind::Invalid);
        let mut cut = bomb(10_000);
        cut.truncate(20);
        assert_eq!(kind(&cut), Kind::Invalid);
    }

    #[test]
    fn gzip_is_used_where_it_is_accepted() {
        for (list, takes) in [
            ("gzip", true),
            ("br, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip; q=0.000", false),
            ("identity", false),
            ("xgzip", false),
        ] {
            assert_eq!(
                accepts_gzip(&headers(&[("accept-encoding", list)])),
                takes,
                "{list}"
            );
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
        assert_eq!(encoded(vec![0; 10], true).1, Encoding::Identity);
        assert_eq!(encoded(vec![0; 5000], false).1, Encoding::Identity);
    }
}
