//! Blocks of TOML are configurations that the program accepts.

use std::fs;
use std::path::Path;

use offergate::settings::{ConfigSource, load};
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256};

use crate::markdown::{Block, page, pages};

/// What a block may take for granted; its own values override these.
const AROUND: &str = r#"
[credentials.contoso]
kind = "managed-identity"
[[publishers]]
id = "contoso"
credential = "contoso"
"#;

/// The files that blocks name.
pub fn write_files(directory: &Path) {
    let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    let certificate = CertificateParams::default()
        .self_signed(&key)
        .unwrap()
        .pem();
    let secrets = "var/run/secrets";
    for (name, content) in [
        ("client-secret", "secret"),
        ("contoso.pem", &certificate),
        ("contoso.key", &key.serialize_pem()),
        ("tls/server.pem", &certificate),
        ("tls/server.key", &key.serialize_pem()),
        ("tls/clients.pem", &certificate),
        (
            &format!("{secrets}/azure/tokens/azure-identity-token"),
            "assertion",
        ),
        (
            &format!("{secrets}/kubernetes.io/serviceaccount/ca.crt"),
            &certificate,
        ),
        (
            &format!("{secrets}/kubernetes.io/serviceaccount/token"),
            "token",
        ),
    ] {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

fn refused(block: &Block) -> Option<String> {
    let directory = tempfile::TempDir::new().unwrap();
    write_files(directory.path());
    // Absolute paths, below the directory.
    let text = block.text.replace("\"/var/", "\"var/");
    fs::write(directory.path().join("base.toml"), AROUND).unwrap();
    fs::write(directory.path().join("block.toml"), text).unwrap();
    let source = ConfigSource {
        dir: Some(directory.path().to_owned()),
        profile: Some("block".to_owned()),
        ..ConfigSource::default()
    };
    load(&source)
        .err()
        .map(|error| format!("{}:\n{error}", block.place))
}

#[test]
fn every_block_is_accepted() {
    let blocks: Vec<Block> = pages().iter().flat_map(|page| page.blocks()).collect();
    let blocks: Vec<&Block> = blocks
        .iter()
        .filter(|block| block.language == "toml")
        .collect();
    assert!(blocks.len() >= 8, "{}", blocks.len());
    let refused = blocks.iter().filter_map(|block| refused(block));
    crate::assert_none("blocks that are no configuration", refused.collect());
}

/// The first configuration of a reader is complete by itself.
#[test]
fn the_configuration_of_the_readme_is_complete() {
    let blocks = page("README.md").blocks();
    let block = blocks
        .iter()
        .find(|block| block.language == "toml")
        .unwrap();
    let directory = tempfile::TempDir::new().unwrap();
    write_files(directory.path());
    fs::write(directory.path().join("base.toml"), &block.text).unwrap();
    let source = ConfigSource {
        dir: Some(directory.path().to_owned()),
        ..ConfigSource::default()
    };
    load(&source).unwrap();
}
