//! A gateway's configuration, as text: the two callers that are measured, and as many
//! others as there shall be.

use std::fmt::Write;
use std::io::Error;
use std::net::SocketAddr;

use crate::token::{AUDIENCE, AZP, ISSUER};

/// What the caller by key presents.
pub const KEY: &str = "load-bench-key-0123456789";
/// Of each caller in a crowd.
const RULES: usize = 5;

/// What differs from one gateway to another.
pub struct Configuration {
    pub name: &'static str,
    pub durability: &'static str,
    /// Callers in all. Half of them have a key and half a token, and of several each
    /// has five rules.
    pub callers: usize,
    /// Between two looks at an operation, in seconds.
    pub poll_seconds: u32,
    /// How long a caller may wait for an operation's end, in seconds; if none, nothing is
    /// configured.
    pub max_wait_seconds: Option<u64>,
}

impl Configuration {
    /// With what nobody measures as it is by default.
    pub fn new(name: &'static str, durability: &'static str, callers: usize) -> Self {
        Self {
            name,
            durability,
            callers,
            poll_seconds: 5,
            max_wait_seconds: None,
        }
    }

    pub fn text(&self, vendor: SocketAddr) -> Result<String, Error> {
        let (durability, poll_seconds) = (self.durability, self.poll_seconds);
        let max_wait = self
            .max_wait_seconds
            .map(|seconds| format!("max_wait_seconds = {seconds}\n"))
            .unwrap_or_default();
        let mut text = format!(
            r#"
[server]
listen = "127.0.0.1:0"
workers = 1
max_connections = 20000
max_in_flight_actions = 1024
head_timeout_ms = 60000
{max_wait}[admin]
listen = "127.0.0.1:0"
[portal]
base_url = "http://{vendor}"
request_timeout_ms = 60000
[credentials.main]
kind = "client-secret"
authority = "http://{vendor}"
tenant_id = "contoso.onmicrosoft.com"
client_id = "7a2c0d60-0000-4000-8000-000000000001"
client_secret = "load-bench-secret-0123456789"
wait_ms = 60000
[[publishers]]
id = "contoso"
credential = "main"
[[identity.jwt]]
issuer = "{ISSUER}"
audience = "{AUDIENCE}"
jwks_url = "http://{vendor}/keys"
[ledger]
url = "sqlite:ledger.db"
durability = "{durability}"
[operations]
poll_seconds = {poll_seconds}
max_polls_per_second = 100000
give_up_seconds = 86400
[telemetry]
log_level = "info"
log_format = "json"
"#
        );
        for n in 0..self.callers {
            self.caller(&mut text, n).map_err(Error::other)?;
        }
        Ok(text)
    }

    /// Those that are measured stand in the middle.
    fn caller(&self, text: &mut String, n: usize) -> std::fmt::Result {
        let middle = (self.callers - 1) / 2;
        writeln!(text, "[[callers]]\nname = \"caller-{n:05}\"")?;
        writeln!(text, "default_publisher = \"contoso\"")?;
        writeln!(text, "max_in_flight_actions = 20000\nmax_waits = 20000")?;
        // One after the other, a key and a token.
        if (n + middle).is_multiple_of(2) {
            let key = match n == middle {
                true => KEY.to_owned(),
                false => format!("{KEY}-{n}"),
            };
            let hash = offergate::identity::hash(key.as_bytes());
            let digits: String = hash.as_bytes().iter().map(|b| format!("{b:02x}")).collect();
            writeln!(text, "api_key_sha256 = [\"{digits}\"]")?;
        } else {
            let azp = match n == middle + 1 {
                true => AZP.to_owned(),
                false => format!("2f1f0c6a-8d54-4f0e-9a57-{n:012}"),
            };
            writeln!(
                text,
                "jwt = {{ issuer = \"{ISSUER}\", claims = {{ azp = \"{azp}\" }} }}"
            )?;
        }
        text.push_str("allow = [");
        if self.callers > 2 {
            for other in 1..RULES {
                rule(text, &format!("other-{n}-{other}-*"))?;
            }
        }
        // The last one allows what is measured.
        rule(text, "bench-*")?;
        text.push_str("]\n");
        Ok(())
    }
}

fn rule(text: &mut String, offers: &str) -> std::fmt::Result {
    write!(
        text,
        "{{ actions = [\"read\", \"cancel\"], publishers = [\"contoso\"], offers = [\"{offers}\"] }},"
    )
}
