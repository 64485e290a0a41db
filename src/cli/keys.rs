//! `offergate keys new NAME`: makes an API key and shows it once.

use std::process::ExitCode;

use clap::Subcommand;

use super::unavailable;
use crate::domain::CallerName;
use crate::identity;

#[derive(Subcommand)]
pub enum KeysCommand {
    /// Print a new API key, once, and the lines to put into the configuration
    New {
        /// The caller's name
        name: String,
    },
}

pub fn run(command: &KeysCommand) -> ExitCode {
    let KeysCommand::New { name } = command;
    let name = match CallerName::parse(name) {
        Ok(name) => name,
        Err(error) => {
            eprintln!("offergate: the caller's name {error}");
            return ExitCode::from(2);
        }
    };
    match new_key() {
        Ok(key) => {
            print!("{}", instructions(&name, &key));
            ExitCode::SUCCESS
        }
        Err(error) => unavailable(&format!(
            "the operating system gives no random bytes: {error}"
        )),
    }
}

/// 256 random bits, recognizable as ours to secret scanners.
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
API key of {name}; it is shown only now, give it to {name} and to nobody else:

{key}

Put this into the configuration, which holds only the key's hash:

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
