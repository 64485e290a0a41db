//! An application that authenticates itself with a client assertion, signed with its
//! certificate's key (RFC 7523 section 2.2; Microsoft Entra, "application authentication
//! certificate credentials").

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use rustls::SignatureScheme;
use rustls::sign::CertifiedKey;
use serde_json::json;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::application::{ClientAuthentication, TokenAnswer};
use super::error::TokenFetchError;
use super::token::Grant;
use crate::domain::{Application, AssertionAlgorithm, TokenHistory};
use crate::transport::HttpClient;

/// Lifetime of an assertion in seconds; Entra accepts ten minutes at most.
const LIFETIME: i64 = 540;
/// How far an assertion is dated back, in seconds, for clocks that differ a little.
const LEEWAY: i64 = 30;
/// Clocks that differ by no more than this count as equal, in seconds.
const CLOCK_TOLERANCE: i64 = 5;

/// An application, with its certificate and the key that belongs to it.
pub struct ClientCertificate {
    application: Application,
    identity: Arc<CertifiedKey>,
    algorithm: AssertionAlgorithm,
    expires: Timestamp,
    /// How far the endpoint's clock is ahead of this machine's, in seconds.
    ahead: AtomicI64,
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificate")
            .field("application", &self.application)
            .finish_non_exhaustive()
    }
}

impl ClientCertificate {
    /// An application with this key, and the expiry of its certificate.
    #[must_use]
    pub fn new(
        application: Application,
        identity: Arc<CertifiedKey>,
        algorithm: AssertionAlgorithm,
        expires: Timestamp,
    ) -> Self {
        Self {
            application,
            identity,
            algorithm,
            expires,
            ahead: AtomicI64::new(0),
        }
    }

    /// When the certificate expires.
    pub(super) fn expires(&self) -> Timestamp {
        self.expires
    }

    pub(super) async fn fetch(
        &self,
        http: &HttpClient,
        history: &TokenHistory,
    ) -> Result<Grant, TokenFetchError> {
        let assertion = self.assertion(Timestamp::now())?;
        let assertion = ClientAuthentication::Assertion(&assertion);
        let answer = self.application.request_token(assertion, http, history);
        let TokenAnswer { grant, date } = answer.await;
        if let Some(theirs) = date {
            self.compare_clocks(Timestamp::now(), theirs);
        }
        grant
    }

    /// Dates the next assertions by the endpoint's clock if this machine's clock differs.
    fn compare_clocks(&self, ours: Timestamp, theirs: Timestamp) {
        let ahead = theirs.as_second() - ours.as_second();
        let ahead = if ahead.abs() > CLOCK_TOLERANCE {
            ahead
        } else {
            0
        };
        self.ahead.store(ahead, Ordering::Relaxed);
    }

    /// A signed assertion, different each time.
    fn assertion(&self, now: Timestamp) -> Result<String, TokenFetchError> {
        let (name, scheme) = match self.algorithm {
            AssertionAlgorithm::Ps256 => ("PS256", SignatureScheme::RSA_PSS_SHA256),
            AssertionAlgorithm::Rs256 => ("RS256", SignatureScheme::RSA_PKCS1_SHA256),
        };
        let certificate = self.identity.cert.first().ok_or(TokenFetchError::Signing)?;
        let header = json!({
            "alg": name,
            "typ": "JWT",
            "x5t#S256": encode(Sha256::digest(certificate)),
        });
        let now = now.as_second() + self.ahead.load(Ordering::Relaxed);
        let claims = json!({
            "aud": self.application.token_url(),
            "iss": self.application.client_id,
            "sub": self.application.client_id,
            "jti": Uuid::new_v4(),
            "iat": now - LEEWAY,
            "nbf": now - LEEWAY,
            "exp": now + LIFETIME,
        });
        let message = format!(
            "{}.{}",
            encode(header.to_string()),
            encode(claims.to_string())
        );
        let signer = self.identity.key.choose_scheme(&[scheme]);
        let signature = signer
            .and_then(|signer| signer.sign(message.as_bytes()).ok())
            .ok_or(TokenFetchError::Signing)?;
        Ok(format!("{message}.{}", encode(signature)))
    }
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::TokenEndpoint;
    use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256};
    use rustls::pki_types::PrivateKeyDer;
    use serde_json::Value;

    const NOW: i64 = 1_800_000_000;

    fn source() -> ClientCertificate {
        let pair = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
        let params = CertificateParams::new(["gateway.example".to_owned()]).unwrap();
        let certificate = params.self_signed(&pair).unwrap();
        let key = PrivateKeyDer::try_from(pair.serialize_der()).unwrap();
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
        let identity = CertifiedKey::new(vec![certificate.into()], key);
        let application = Application {
            authority: "https://login.example".into(),
            tenant_id: "t".into(),
            client_id: "c".into(),
            endpoint: TokenEndpoint::V2 { scope: "s".into() },
        };
        let algorithm = AssertionAlgorithm::Ps256;
        ClientCertificate::new(application, Arc::new(identity), algorithm, at(NOW))
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn claims(source: &ClientCertificate) -> Value {
        let assertion = source.assertion(at(NOW)).unwrap();
        let claims = assertion.split('.').nth(1).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
    }

    #[test]
    fn a_wrong_clock_is_corrected_and_a_small_difference_is_not() {
        let source = source();
        for (theirs, iat) in [
            (NOW + 3600, NOW + 3600),
            (NOW - 86_400, NOW - 86_400),
            (NOW + 5, NOW),
            (NOW - 6, NOW - 6),
            (NOW, NOW),
        ] {
            source.compare_clocks(at(NOW), at(theirs));
            let claims = claims(&source);
            let times = ["iat", "nbf", "exp"].map(|name| claims[name].as_i64().unwrap());
            assert_eq!(times, [iat - LEEWAY, iat - LEEWAY, iat + LIFETIME]);
        }
    }

    #[test]
    fn every_assertion_differs() {
        let source = source();
        let (first, second) = (claims(&source), claims(&source));
        assert_ne!(first["jti"], second["jti"]);
        let token_url = "https://login.example/t/oauth2/v2.0/token";
        for (name, value) in [("aud", token_url), ("iss", "c"), ("sub", "c")] {
            assert_eq!(first[name], value);
        }
    }
}
