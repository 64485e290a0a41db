//! `offergate keys new NAME`: creates an API key and prints it once.

use std::process::ExitCode;

use clap::Subcommand;

use super::exit::{unavailable, usage};
use crate::domain::CallerName;
use crate::identity;

#[derive(Subcommand)]
pub enum KeysCommand {
    /// Create an API key, and print it with the configuration that accepts it
    New {
        /// Name of the caller that will use the key
        name: String,
    },
}

pub fn run(command: &KeysCommand) -> ExitCode {
    let KeysCommand::New { name } = command;
    let name = match CallerName::parse(name) {
        Ok(name) => name,
        Err(error) => return usage(&format!("NAME {error}")),
    };
    match new_key() {
        Ok(key) => {
            outln!("{}", instructions(&name, &key).trim_end());
            ExitCode::SUCCESS
        }
        Err(error) => unavailable(&format!(
            "the operating system provides no random bytes: {error}"
        )),
    }
}

/// 256 random bits, with a prefix that secret scanners can recognize.
pub fn new_key() -> Result<String, getrandom::Error> {
    let mut random = [0_u8; 32];
    getrandom::fill(&mut random)?;
    Ok(format!("offergate_{}", hex(&random)))
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn instructions(name: &CallerName, key: &str) -> String {
    let hash = hex(identity::hash(key.as_bytes()).as_bytes());
    format!(
        "\
API key of {name}. It is shown only once; hand it to {name} over a secure channel:

{key}

Add this to the configuration, which stores only the hash of the key:

[[callers]]
name = \"{name}\"
api_key_sha256 = [\"{hash}\"]
default_publisher = \"contoso\"
allow = [ {{ actions = [\"cancel\"], publishers = [\"contoso\"], offers = [\"contoso-*\"] }} ]
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_long_and_each_is_new() {
        let (one, two) = (new_key().unwrap(), new_key().unwrap());
        assert_ne!(one, two);
        assert_eq!(one.len(), "offergate_".len() + 64);
        assert!((identity::MIN_KEY..=identity::MAX_KEY).contains(&one.len()));
    }

    #[test]
    fn the_printed_hash_is_that_of_the_printed_key() {
        let name = CallerName::parse("pipeline").unwrap();
        let text = instructions(&name, "0123456789abcdef");
        // printf %s 0123456789abcdef | sha256sum
        assert!(text.contains("9f9f5111f7b27a781f1f1ddde5ebc2dd2b796bfc7365c9c28b548e564176929f"));
    }
}
