//! Bodies: read within bounds of size and time, and compressed or not (RFC 9110, section 8.4).

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

use super::problem::Problem;
use crate::hephd::protocol::LARGEST_BODY;

/// How long a body may take to arrive.
const SLOW: Duration = Duration::from_secs(30);
/// Below this, compressing an answer costs more than it saves, in bytes.
const SMALL: usize = 1024;

/// How a body is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    Identity,
    /// By gzip.
    Gzip,
}

/// Checks that a request carries JSON, and returns how it is encoded and how many bytes it announces, at most
/// [`LARGEST_BODY`].
///
/// # Errors
///
/// Its media type or encoding is not understood, or it announces too much.
pub fn announced(headers: &HeaderMap) -> Result<(Encoding, usize), Problem> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let media = text(header::CONTENT_TYPE).unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim();
    if !media.eq_ignore_ascii_case("application/json") {
        let error = "the body is not said to be application/json";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, error));
    }
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    let encoding = match (encodings.next(), encodings.next()) {
        (None, _) => Encoding::Identity,
        (Some(one), None) if one.as_bytes().eq_ignore_ascii_case(b"identity") => Encoding::Identity,
        (Some(one), None) if one.as_bytes().eq_ignore_ascii_case(b"gzip") => Encoding::Gzip,
        _ => {
            let error = "the body is encoded in a way other than gzip";
            let problem = Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, error);
            let understood = HeaderValue::from_static("gzip");
            return Err(problem.header(header::ACCEPT_ENCODING, understood));
        }
    };
    // hyper has refused what is no number.
    let length = text(header::CONTENT_LENGTH).and_then(|length| length.parse().ok());
    match length {
        Some(length) if length > LARGEST_BODY => Err(Problem::too_large(LARGEST_BODY)),
        Some(length) => Ok((encoding, length)),
        None => Ok((encoding, LARGEST_BODY)),
    }
}

/// Reads a body to its end.
///
/// # Errors
///
/// It is too large, too slow, or breaks off.
pub async fn read(mut body: Body) -> Result<Vec<u8>, Problem> {
    let reading = async {
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Problem::bad("the body breaks off"))?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            if bytes.len() + data.len() > LARGEST_BODY {
                return Err(Problem::too_large(LARGEST_BODY));
            }
            bytes.extend_from_slice(&data);
        }
        Ok(bytes)
    };
    timeout(SLOW, reading).await.unwrap_or_else(|_| {
        let error = format!("the body did not arrive within {} s", SLOW.as_secs());
        let problem = Problem::new(StatusCode::REQUEST_TIMEOUT, error);
        Err(problem.header(header::CONNECTION, HeaderValue::from_static("close")))
    })
}

/// Undoes `encoding`; `None` where it becomes larger than `most` bytes.
///
/// # Errors
///
/// It is no such encoding.
pub fn decoded(
    bytes: &[u8],
    encoding: Encoding,
    most: usize,
) -> Result<Option<Cow<'_, [u8]>>, Problem> {
    match encoding {
        Encoding::Identity => Ok((bytes.len() <= most).then_some(Cow::Borrowed(bytes))),
        Encoding::Gzip => {
            let mut decoded = Vec::new();
            MultiGzDecoder::new(bytes)
                .take(most as u64 + 1)
                .read_to_end(&mut decoded)
                .map_err(|error| Problem::bad(format!("the body is no gzip: {error}")))?;
            Ok((decoded.len() <= most).then_some(Cow::Owned(decoded)))
        }
    }
}

/// Returns `bytes` for somebody who takes gzip or does not, and whether they are gzip now.
pub fn encoded(bytes: Vec<u8>, takes_gzip: bool) -> (Vec<u8>, Encoding) {
    if !takes_gzip || bytes.len() < SMALL {
        return (bytes, Encoding::Identity);
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    match encoder.write_all(&bytes).and_then(|()| encoder.finish()) {
        Ok(gzip) => (gzip, Encoding::Gzip),
        // Writing to memory does not fail; if it did, the plain bytes would do.
        Err(_) => (bytes, Encoding::Identity),
    }
}

/// Returns whether `Accept-Encoding` lets an answer be gzip.
pub fn takes_gzip(headers: &HeaderMap) -> bool {
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

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn what_a_request_may_announce() {
        let json = ("content-type", "Application/JSON; charset=utf-8");
        let status = |pairs: &[(&'static str, &str)]| {
            announced(&headers(pairs)).map_err(|problem| problem.status.as_u16())
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
    fn gzip_is_undone_within_bounds() {
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
        let status = |bytes: &[u8]| {
            let problem = decoded(bytes, Encoding::Gzip, LARGEST_BODY).unwrap_err();
            problem.status.as_u16()
        };
        assert_eq!(status(b"{}"), 400);
        let mut cut = bomb(10_000);
        cut.truncate(20);
        assert_eq!(status(&cut), 400);
    }

    #[test]
    fn who_takes_gzip() {
        for (list, takes) in [
            ("gzip", true),
            ("br, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip; q=0.000", false),
            ("identity", false),
            ("xgzip", false),
        ] {
            assert_eq!(
                takes_gzip(&headers(&[("accept-encoding", list)])),
                takes,
                "{list}"
            );
        }
        assert!(!takes_gzip(&HeaderMap::new()));
        assert_eq!(encoded(vec![0; 10], true).1, Encoding::Identity);
        assert_eq!(encoded(vec![0; 5000], false).1, Encoding::Identity);
    }
}
