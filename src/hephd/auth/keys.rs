//! The keys of an issuer (RFC 7517), as far as they verify RS256, ES256 or EdDSA (RFC 7518, RFC 8037). Pure.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use ring::signature::{
    self, ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
};
use serde::Deserialize;
use serde_json::Value;

use crate::error::{Result, ResultExt};
use crate::login::lenient;

/// How many keys of a set are read; an issuer has a handful.
const MOST: usize = 100;

/// Some issuers pad the numbers of their keys, which RFC 7515 (section 2) rules out.
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A signature algorithm that hephd accepts; `none` and those with a shared secret are not among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    pub(super) fn named(name: &str) -> Option<Algorithm> {
        match name {
            "RS256" => Some(Algorithm::Rs256),
            "ES256" => Some(Algorithm::Es256),
            // RFC 9864 names the curve.
            "EdDSA" | "Ed25519" => Some(Algorithm::EdDsa),
            _ => None,
        }
    }
}

/// One public key that may verify signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) kid: Option<String>,
    /// The algorithm that the issuer restricts it to, beyond what its kind does.
    alg: Option<String>,
    material: Material,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl Key {
    /// Returns whether this key is for `algorithm`, by its kind and by what the issuer says. The token has no say in it (RFC
    /// 8725, section 3.1).
    pub(super) fn is_for(&self, algorithm: Algorithm) -> bool {
        let kind = match self.material {
            Material::Rsa { .. } => Algorithm::Rs256,
            Material::P256(_) => Algorithm::Es256,
            Material::Ed25519(_) => Algorithm::EdDsa,
        };
        let alg = self.alg.as_deref();
        kind == algorithm && alg.is_none_or(|alg| Algorithm::named(alg) == Some(kind))
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let verified = match &self.material {
            Material::Rsa { n, e } => signature::RsaPublicKeyComponents { n, e }.verify(
                &RSA_PKCS1_2048_8192_SHA256,
                message,
                signature,
            ),
            Material::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            Material::Ed25519(point) => {
                UnparsedPublicKey::new(&ED25519, point).verify(message, signature)
            }
        };
        verified.is_ok()
    }
}

/// The usable keys of an issuer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Keys(Vec<Key>);

impl Keys {
    /// Reads a JWK set. Keys of other kinds and for other uses are ignored, as RFC 7517 (section 5) asks for.
    pub(super) fn read(json: &[u8]) -> Result<Keys> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = serde_json::from_slice(json).context("the answer is not a JWK set")?;
        let keys = set.keys.into_iter().take(MOST);
        Ok(Keys(keys.filter_map(read_key).collect()))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Key> {
        self.0.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// The members of a JWK that matter here.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(default, deserialize_with = "lenient::text")]
    kid: Option<String>,
    #[serde(rename = "use", default, deserialize_with = "lenient::text")]
    usage: Option<String>,
    #[serde(default, deserialize_with = "lenient::words")]
    key_ops: Vec<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    alg: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

fn read_key(value: Value) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    let may_verify = jwk.key_ops.is_empty() || jwk.key_ops.iter().any(|op| op == "verify");
    if !may_verify || jwk.usage.is_some_and(|usage| usage != "sig") {
        return None;
    }
    let material = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("RSA", None) => Material::Rsa {
            n: number(jwk.n?)?,
            e: number(jwk.e?)?,
        },
        ("EC", Some("P-256")) => {
            // An uncompressed point (SEC 1, section 2.3.3), which is what ring reads.
            let (x, y) = (bytes(jwk.x?)?, bytes(jwk.y?)?);
            (x.len() == 32 && y.len() == 32).then(|| Material::P256([&[4][..], &x, &y].concat()))?
        }
        ("OKP", Some("Ed25519")) => {
            let point = bytes(jwk.x?)?;
            (point.len() == 32).then_some(Material::Ed25519(point))?
        }
        _ => return None,
    };
    Some(Key {
        kid: jwk.kid,
        alg: jwk.alg,
        material,
    })
}

fn bytes(text: String) -> Option<Vec<u8>> {
    BASE64_URL.decode(text).ok()
}

/// Reads a big-endian number; leading zeros, which some issuers write, are removed, since ring rejects them.
fn number(text: String) -> Option<Vec<u8>> {
    let bytes = bytes(text)?;
    let start = bytes.iter().position(|byte| *byte != 0)?;
    Some(bytes[start..].to_vec())
}
