//! Whose signatures under servers' certificates are trusted: the operating system's
//! authorities, and those of a file of our own.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::{env, fs};

use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, pem::PemObject};

use crate::domain::without_byte_order_mark;
use crate::files;

/// The longest file of extra certificates, in bytes.
const MAX_CA_FILE: u64 = 16 * 1024 * 1024;
/// The variables that name other places for the operating system's authorities.
const FILE: &str = "SSL_CERT_FILE";
const DIRECTORIES: &str = "SSL_CERT_DIR";

/// Why no client can be made.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The file of extra certificates is unreadable or holds none.
    #[error("cannot read certificates from the ca_file: {0}")]
    CaFile(String),
    /// There is nothing to check a server's certificate against.
    #[error("{0}")]
    NoRoots(String),
    /// The TLS library refused its own defaults.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// The operating system's, read once: the first transports are made at the start, and no reload
/// may wait for a file system that hangs.
static SYSTEM: LazyLock<Arc<RootCertStore>> = LazyLock::new(|| {
    let mut roots = RootCertStore::empty();
    // A system certificate that cannot be parsed is skipped; the start goes on.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    Arc::new(roots)
});

/// All authorities that are trusted.
pub(super) fn roots(ca_file: Option<&Path>) -> Result<Arc<RootCertStore>, TransportError> {
    let mut roots = Arc::clone(&SYSTEM);
    if let Some(path) = ca_file {
        let unreadable = |e: rustls::pki_types::pem::Error| TransportError::CaFile(e.to_string());
        let mut found = 0;
        let file = files::read(path, MAX_CA_FILE);
        let file = file.map_err(|error| TransportError::CaFile(format!("it {error}")))?;
        for certificate in CertificateDer::pem_slice_iter(without_byte_order_mark(&file.bytes)) {
            Arc::make_mut(&mut roots)
                .add(certificate.map_err(unreadable)?)
                .map_err(|e| TransportError::CaFile(e.to_string()))?;
            found += 1;
        }
        if found == 0 {
            return Err(TransportError::CaFile("it holds no certificate".into()));
        }
    }
    if roots.is_empty() {
        let (file, directories) = (env::var_os(FILE), env::var_os(DIRECTORIES));
        return Err(TransportError::NoRoots(no_roots(
            file.as_deref(),
            directories.as_deref(),
        )));
    }
    Ok(roots)
}

/// What is wrong with the variables that name the operating system's authorities, if
/// anything: then fewer are trusted than was meant.
#[must_use]
pub fn trust_warning() -> Option<String> {
    let problems = variable_problems(
        env::var_os(FILE).as_deref(),
        env::var_os(DIRECTORIES).as_deref(),
    );
    let warning = |problems: Vec<String>| format!("{}; correct or unset it", problems.join("; "));
    (!problems.is_empty()).then(|| warning(problems))
}

fn no_roots(file: Option<&OsStr>, directories: Option<&OsStr>) -> String {
    let problems = variable_problems(file, directories);
    let (set, names) = match (file, directories) {
        (None, None) => {
            return "the operating system has no CA certificates; install its ca-certificates \
                    package or set ca_file"
                .into();
        }
        (Some(_), None) => (FILE, "names"),
        (None, Some(_)) => (DIRECTORIES, "names"),
        (Some(_), Some(_)) => ("SSL_CERT_FILE and SSL_CERT_DIR", "name"),
    };
    let reason = match problems.is_empty() {
        true => format!("{set} {names} nothing that holds a CA certificate (PEM)"),
        false => problems.join("; "),
    };
    format!("no CA certificates: {reason}; correct or unset {set}, or set ca_file")
}

/// Which of the variables name something that is not there.
fn variable_problems(file: Option<&OsStr>, directories: Option<&OsStr>) -> Vec<String> {
    let problem = |variable, path: &Path, is_right: fn(&fs::Metadata) -> bool, what| {
        let reason = match fs::metadata(path) {
            Ok(metadata) if is_right(&metadata) => return None,
            Ok(_) => format!("is not a {what}"),
            Err(error) => format!("cannot be read: {error}"),
        };
        Some(format!(
            "{variable} names {}, which {reason}",
            path.display()
        ))
    };
    let file = file.and_then(|path| problem(FILE, Path::new(path), fs::Metadata::is_file, "file"));
    let directories = directories.map(OsString::from).unwrap_or_default();
    let directories = env::split_paths(&directories)
        .filter(|path| !path.as_os_str().is_empty())
        .filter_map(|path| problem(DIRECTORIES, &path, fs::Metadata::is_dir, "directory"))
        .collect::<Vec<_>>();
    file.into_iter().chain(directories).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ca_file_may_have_anything_around_its_certificates() {
        let directory = tempfile::TempDir::new().unwrap();
        let path = directory.path().join("ca.pem");
        let key = rcgen::KeyPair::generate().unwrap();
        let authority = rcgen::CertificateParams::default().self_signed(&key);
        let pem = authority.unwrap().pem().into_bytes();
        let system = rustls_native_certs::load_native_certs().certs.len();
        let count = |content: &[u8]| {
            fs::write(&path, content).unwrap();
            roots(Some(&path)).map(|roots| roots.len())
        };
        let one = count(&pem).unwrap();
        assert!((1..=system + 1).contains(&one), "{one}");
        let mark = b"\xef\xbb\xbf";
        let bag = b"Bag Attributes\n  friendlyName: \xff\xfe\0\n";
        assert_eq!(count(&[mark, pem.as_slice()].concat()).unwrap(), one);
        assert_eq!(count(&[bag, pem.as_slice(), bag].concat()).unwrap(), one);
        assert!(count(b"").is_err() && count(bag).is_err());
        assert!(roots(Some(directory.path())).is_err());
    }

    #[test]
    fn missing_authorities_are_explained_by_the_variable_that_names_them() {
        let directory = tempfile::TempDir::new().unwrap();
        let there = directory.path().as_os_str();
        let empty = directory.path().join("empty.pem");
        fs::write(&empty, "").unwrap();
        let empty = empty.as_os_str();
        let missing = OsStr::new("/missing");
        for (file, directories, expected) in [
            (
                None,
                None,
                "install its ca-certificates package or set ca_file",
            ),
            (
                Some(missing),
                None,
                "SSL_CERT_FILE names /missing, which cannot be read: No such",
            ),
            (
                Some(there),
                None,
                "which is not a file; correct or unset SSL_CERT_FILE,",
            ),
            (
                Some(empty),
                None,
                "SSL_CERT_FILE names nothing that holds a CA certificate",
            ),
            (
                None,
                Some(missing),
                "SSL_CERT_DIR names /missing, which cannot be read",
            ),
            (None, Some(there), "SSL_CERT_DIR names nothing that holds"),
            (None, Some(empty), "which is not a directory"),
            (Some(missing), Some(there), "SSL_CERT_FILE names /missing"),
            (
                Some(empty),
                Some(there),
                "SSL_CERT_FILE and SSL_CERT_DIR name nothing",
            ),
            (
                Some(OsStr::new("")),
                None,
                "SSL_CERT_FILE names , which cannot be read",
            ),
        ] {
            let text = no_roots(file, directories);
            assert!(text.contains(expected), "{expected}: {text}");
        }
        let several = env::join_paths([there, missing]).unwrap();
        let problems = variable_problems(Some(empty), Some(&several));
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(variable_problems(None, None).is_empty());
    }
}
