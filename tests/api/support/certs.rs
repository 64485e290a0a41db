//! Certificate authorities for tests, and the certificates that they sign.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    SanType,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A CA that signs every request.
pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pub certificate: CertificateDer<'static>,
    pub pem: String,
}

/// A certificate and its key.
pub struct Issued {
    pub certificate: CertificateDer<'static>,
    pub pem: String,
    pub key: PrivateKeyDer<'static>,
    pub key_pem: String,
}

impl Ca {
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        Self {
            pem: certificate.pem(),
            certificate: certificate.into(),
            issuer: Issuer::new(params, key),
        }
    }

    /// For a server on loopback.
    pub fn server(&self) -> Issued {
        let names = [
            SanType::DnsName("localhost".try_into().unwrap()),
            SanType::IpAddress([127, 0, 0, 1].into()),
        ];
        self.sign(ExtendedKeyUsagePurpose::ServerAuth, names, |_| ())
    }

    /// For a server of these names and addresses, with any change.
    pub fn server_of(&self, names: &[&str], change: fn(&mut CertificateParams)) -> Issued {
        let purpose = ExtendedKeyUsagePurpose::ServerAuth;
        self.sign(purpose, names.iter().map(|name| server_name(name)), change)
    }

    /// For a client of these names: URIs if they have a scheme, else DNS names.
    pub fn client(&self, names: &[&str]) -> Issued {
        self.client_with(names, |_| ())
    }

    /// The same with any change, such as an end in the past.
    pub fn client_with(&self, names: &[&str], change: fn(&mut CertificateParams)) -> Issued {
        let names = names.iter().map(|&name| match name.contains(':') {
            true => SanType::URI(name.try_into().unwrap()),
            false => SanType::DnsName(name.try_into().unwrap()),
        });
        self.sign(ExtendedKeyUsagePurpose::ClientAuth, names, change)
    }

    fn sign(
        &self,
        purpose: ExtendedKeyUsagePurpose,
        names: impl IntoIterator<Item = SanType>,
        change: fn(&mut CertificateParams),
    ) -> Issued {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names.into_iter().collect();
        params.extended_key_usages = vec![purpose];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Issued {
            pem: certificate.pem(),
            certificate: certificate.into(),
            key: PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            key_pem: key.serialize_pem(),
        }
    }

    /// Writes its certificate (PEM).
    pub fn write(&self, directory: &Path, name: &str) -> PathBuf {
        write(directory, name, &self.pem)
    }
}

impl Issued {
    /// Writes `NAME.pem` and `NAME.key`, both PEM.
    pub fn write(&self, directory: &Path, name: &str) -> (PathBuf, PathBuf) {
        let certificate = write(directory, &format!("{name}.pem"), &self.pem);
        let key = write(directory, &format!("{name}.key"), &self.key_pem);
        (certificate, key)
    }
}

/// A server's certificate that no authority has signed.
pub fn self_signed(names: &[&str], change: fn(&mut CertificateParams)) -> Issued {
    let mut params = CertificateParams::default();
    params.subject_alt_names = names.iter().map(|name| server_name(name)).collect();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    Issued {
        pem: certificate.pem(),
        certificate: certificate.into(),
        key: PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        key_pem: key.serialize_pem(),
    }
}

fn server_name(name: &str) -> SanType {
    match name.parse() {
        Ok(address) => SanType::IpAddress(address),
        Err(_) => SanType::DnsName(name.try_into().unwrap()),
    }
}

fn write(directory: &Path, name: &str, text: &str) -> PathBuf {
    let path = directory.join(name);
    std::fs::write(&path, text).unwrap();
    path
}
