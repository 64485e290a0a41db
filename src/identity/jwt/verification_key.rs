//! One key of an issuer's JSON Web Key Set (RFC 7517): read, normalized and built.
//!
//! Issuers make mistakes that leave no doubt about the key: leading zero octets (RFC 7518
//! section 6.3.1.1 names this one), coordinates that lack theirs, padding, a certificate and
//! no numbers. They are put right here. A key is built when it is read, so that one that
//! could not verify anything never counts as usable.

use aws_lc_rs::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
};
use jsonwebtoken::{Algorithm, DecodingKey};
use rustls::pki_types::CertificateDer;
use serde_json::{Map, Value};

use super::base64_text::decode;
use super::key_hint::{KeyHint, Thumbprints, thumbprint};
use crate::domain::{Certificate, CertificateKey, JWT_ALGORITHMS};

/// The length of an RSA modulus, in bits (RFC 7518 section 3.3 for the least; more is slow).
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// A public key that may have signed a token.
pub struct VerificationKey {
    properties: KeyProperties,
    decoding: DecodingKey,
}

/// Everything that makes a key this one.
#[derive(PartialEq, Eq)]
struct KeyProperties {
    kid: Option<String>,
    thumbprints: Thumbprints,
    material: KeyMaterial,
    /// What it may have signed with.
    algorithms: Vec<Algorithm>,
}

/// The numbers of a key, without leading zeros, or as long as its curve demands.
#[derive(Clone, PartialEq, Eq)]
enum KeyMaterial {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// An uncompressed point (SEC 1 section 2.3.3).
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

/// Why a key of a set is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum LeftOutReason {
    /// It encrypts, or only signs.
    #[error("not for verifying signatures (use, key_ops or alg)")]
    OtherUse,
    /// The gateway cannot use keys of this kind; symmetric ones among them.
    #[error("of a type, curve or algorithm that is not supported")]
    Unsupported,
    /// A member is missing, or is not what it must be.
    #[error("a member is missing, malformed or contradicts another")]
    Malformed,
    /// An RSA key that is too short to be safe, or too long.
    #[error("RSA modulus of less than 2048 or more than 8192 bits")]
    Size,
    /// Numbers that no key has: a point beside its curve, an even modulus.
    #[error("not a valid public key")]
    Invalid,
    /// The set is too long.
    #[error("beyond the first 64 keys")]
    Excess,
}

impl LeftOutReason {
    /// Whether a healthy issuer publishes such keys too, so that nobody needs to be warned.
    #[must_use]
    pub fn is_expected(self) -> bool {
        matches!(self, Self::OtherUse | Self::Unsupported)
    }
}

impl VerificationKey {
    /// Reads one member of `keys`.
    ///
    /// # Errors
    /// [`LeftOutReason`] if it cannot or must not verify signatures.
    pub(super) fn read(jwk: &Value) -> Result<Self, LeftOutReason> {
        let members = jwk.as_object().ok_or(LeftOutReason::Malformed)?;
        check_use(members)?;
        let certificate = first_certificate(members);
        let certified = certificate.as_ref().and_then(|(_, key)| key.clone());
        let material = KeyMaterial::read(members, certified.as_ref())?;
        let thumbprint_of = |name| members.get(name).and_then(Value::as_str);
        let named = Thumbprints {
            sha1: thumbprint_of("x5t").and_then(thumbprint),
            sha256: thumbprint_of("x5t#S256").and_then(thumbprint),
        };
        // The certificate of another key (RFC 7517 section 4.7 forbids it) names this one badly.
        let computed = certificate
            .filter(|(_, key)| key.as_ref() == Some(&material))
            .map(|(thumbprints, _)| thumbprints);
        let properties = KeyProperties {
            kid: key_id(members).map(str::to_owned),
            thumbprints: named.or(computed.unwrap_or_default()),
            algorithms: algorithms(&material, members)?,
            material,
        };
        Ok(Self {
            decoding: properties.material.build()?,
            properties,
        })
    }

    /// The key as signatures are verified with it.
    pub(super) fn decoding(&self) -> &DecodingKey {
        &self.decoding
    }

    /// Whether both are the same key under the same names.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.properties == other.properties
    }

    /// Whether it may have signed with this algorithm.
    pub(super) fn fits(&self, algorithm: Algorithm) -> bool {
        self.properties.algorithms.contains(&algorithm)
    }

    pub(super) fn kid(&self) -> Option<&str> {
        self.properties.kid.as_deref()
    }

    /// Whether the token names the certificate of this key. AD FS uses that thumbprint as the
    /// key's `kid` too.
    pub(super) fn has_thumbprint(&self, hint: &KeyHint<'_>, thumbprints: &Thumbprints) -> bool {
        self.properties.thumbprints.meets(thumbprints)
            || (hint.x5t.is_some() && hint.x5t == self.kid())
    }
}

impl KeyMaterial {
    fn read(members: &Map<String, Value>, certified: Option<&Self>) -> Result<Self, LeftOutReason> {
        let has_any = |names: [&str; 2]| names.iter().any(|name| members.contains_key(*name));
        match text(members, "kty")? {
            "RSA" if has_any(["n", "e"]) => Self::rsa(&bytes(members, "n")?, &bytes(members, "e")?),
            "EC" if has_any(["x", "y"]) => {
                let (x, y) = (bytes(members, "x")?, bytes(members, "y")?);
                match text(members, "crv")? {
                    "P-256" => Ok(Self::P256(point(&x, &y, 32)?)),
                    "P-384" => Ok(Self::P384(point(&x, &y, 48)?)),
                    _ => Err(LeftOutReason::Unsupported),
                }
            }
            "RSA" => match certified {
                Some(key @ Self::Rsa { .. }) => Ok(key.clone()),
                _ => Err(LeftOutReason::Malformed),
            },
            "EC" => match certified {
                Some(key @ (Self::P256(_) | Self::P384(_))) => Ok(key.clone()),
                _ => Err(LeftOutReason::Malformed),
            },
            "OKP" if text(members, "crv")? == "Ed25519" => {
                let x = bytes(members, "x")?;
                match x.len() {
                    32 => Ok(Self::Ed25519(x)),
                    _ => Err(LeftOutReason::Malformed),
                }
            }
            _ => Err(LeftOutReason::Unsupported),
        }
    }

    fn rsa(n: &[u8], e: &[u8]) -> Result<Self, LeftOutReason> {
        let (n, e) = (without_zeros(n), without_zeros(e));
        let is_odd = |number: &[u8]| number.last().is_some_and(|last| last & 1 == 1);
        let bits = |number: &[u8]| {
            let zeros = number.first().map_or(0, |first| first.leading_zeros());
            number.len() * 8 - zeros as usize
        };
        if !RSA_BITS.contains(&bits(n)) {
            return Err(LeftOutReason::Size);
        }
        // The library checks neither; with such numbers no signature is ever right.
        if !is_odd(n) || !is_odd(e) || !(2..=33).contains(&bits(e)) {
            return Err(LeftOutReason::Invalid);
        }
        Ok(Self::Rsa {
            n: n.to_vec(),
            e: e.to_vec(),
        })
    }

    /// The key of a certificate, if it is of a kind that can verify.
    fn certified(key: &CertificateKey) -> Option<Self> {
        match key {
            CertificateKey::Rsa { modulus, exponent } => Self::rsa(modulus, exponent).ok(),
            CertificateKey::Point(point) => match point.len() {
                65 => Some(Self::P256(point.clone())),
                97 => Some(Self::P384(point.clone())),
                _ => None,
            },
        }
    }

    /// What keys of this kind can sign with.
    fn algorithms(&self) -> &'static [Algorithm] {
        use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
        match self {
            Self::Rsa { .. } => &[RS256, RS384, RS512, PS256, PS384, PS512],
            Self::P256(_) => &[ES256],
            Self::P384(_) => &[ES384],
            Self::Ed25519(_) => &[EdDSA],
        }
    }

    fn build(&self) -> Result<DecodingKey, LeftOutReason> {
        // `jsonwebtoken` would find out only at the first signature.
        let parsed = match self {
            Self::Rsa { n, e } => RsaPublicKeyComponents { n, e }
                .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
                .map(|_| DecodingKey::from_rsa_raw_components(n, e)),
            Self::P256(point) => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
                .map(|_| DecodingKey::from_ec_der(point)),
            Self::P384(point) => ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point)
                .map(|_| DecodingKey::from_ec_der(point)),
            Self::Ed25519(x) => {
                ParsedPublicKey::new(&ED25519, x).map(|_| DecodingKey::from_ed_der(x))
            }
        };
        parsed.map_err(|_| LeftOutReason::Invalid)
    }
}

/// The `kid` of a member of `keys`, whether the key is usable or not; an empty one is none.
pub(super) fn key_id(members: &Map<String, Value>) -> Option<&str> {
    let kid = members.get("kid").and_then(Value::as_str);
    kid.filter(|kid| !kid.is_empty())
}

/// A member that may be missing; null is as good.
fn member<'j>(members: &'j Map<String, Value>, name: &str) -> Option<&'j Value> {
    members.get(name).filter(|value| !value.is_null())
}

fn text<'j>(members: &'j Map<String, Value>, name: &str) -> Result<&'j str, LeftOutReason> {
    let value = member(members, name).and_then(Value::as_str);
    value.ok_or(LeftOutReason::Malformed)
}

fn bytes(members: &Map<String, Value>, name: &str) -> Result<Vec<u8>, LeftOutReason> {
    decode(text(members, name)?).ok_or(LeftOutReason::Malformed)
}

/// What limits a key must be understood: a member of a wrong type is not ignored.
fn check_use(members: &Map<String, Value>) -> Result<(), LeftOutReason> {
    match member(members, "use").map(Value::as_str) {
        None | Some(Some("sig")) => {}
        Some(Some(_)) => return Err(LeftOutReason::OtherUse),
        Some(None) => return Err(LeftOutReason::Malformed),
    }
    match member(members, "key_ops").map(Value::as_array) {
        None => Ok(()),
        Some(Some(operations)) if operations.iter().any(|one| one == "verify") => Ok(()),
        Some(Some(_)) => Err(LeftOutReason::OtherUse),
        Some(None) => Err(LeftOutReason::Malformed),
    }
}

/// What the key may have signed with: anything that its kind can, or its `alg` alone.
fn algorithms(
    material: &KeyMaterial,
    members: &Map<String, Value>,
) -> Result<Vec<Algorithm>, LeftOutReason> {
    let able = material.algorithms();
    if member(members, "alg").is_none() {
        return Ok(able.to_vec());
    }
    let name = match text(members, "alg")? {
        // RFC 9864 section 2.2.
        "Ed25519" => "EdDSA",
        name => name,
    };
    let known = JWT_ALGORITHMS.iter().find(|(known, _)| *known == name);
    match known {
        Some((_, algorithm)) if able.contains(algorithm) => Ok(vec![*algorithm]),
        Some(_) => Err(LeftOutReason::Malformed),
        None if ["RSA-OAEP", "RSA1_5", "ECDH-ES"]
            .iter()
            .any(|it| name.starts_with(it)) =>
        {
            Err(LeftOutReason::OtherUse)
        }
        None => Err(LeftOutReason::Unsupported),
    }
}

/// The thumbprints and the key of the certificate in `x5c`, if it can be read.
fn first_certificate(members: &Map<String, Value>) -> Option<(Thumbprints, Option<KeyMaterial>)> {
    let der = decode(members.get("x5c")?.as_array()?.first()?.as_str()?)?;
    let certificate = Certificate::parse(&CertificateDer::from(der.as_slice()))?;
    let thumbprints = Thumbprints {
        sha1: digest::digest(&SHA1_FOR_LEGACY_USE_ONLY, &der)
            .as_ref()
            .try_into()
            .ok(),
        sha256: digest::digest(&SHA256, &der).as_ref().try_into().ok(),
    };
    let key = certificate.key();
    Some((thumbprints, key.as_ref().and_then(KeyMaterial::certified)))
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|b| **b == 0).count();
    &number[zeros..]
}

/// An uncompressed point; coordinates are as long as the curve demands (RFC 7518 section
/// 6.2.1.2).
fn point(x: &[u8], y: &[u8], length: usize) -> Result<Vec<u8>, LeftOutReason> {
    let mut point = vec![4];
    for coordinate in [x, y] {
        let coordinate = without_zeros(coordinate);
        let missing = length.checked_sub(coordinate.len());
        let missing = missing.ok_or(LeftOutReason::Malformed)?;
        point.resize(point.len() + missing, 0);
        point.extend_from_slice(coordinate);
    }
    Ok(point)
}
