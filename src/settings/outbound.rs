//! `[outbound]`: the proxy towards the vendor, token endpoints and issuers.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::reader::Table;
use super::url::parse_authority;
use crate::domain::{Egress, NoProxy, Proxy, Secret};

/// The variables in which most programs look for a proxy, the first that is set.
const PROXY_VARIABLES: [&str; 2] = ["HTTPS_PROXY", "https_proxy"];
/// Those for its exceptions.
const NO_PROXY_VARIABLES: [&str; 2] = ["NO_PROXY", "no_proxy"];

pub fn read(t: &mut Table<'_, '_>) -> Option<Egress> {
    let is_file = t.has("proxy_url_file");
    let variable = match t.has("proxy_url") || is_file {
        true => None,
        false => fall_back(t, "proxy_url", PROXY_VARIABLES),
    };
    fall_back(t, "no_proxy", NO_PROXY_VARIABLES);
    let name = if is_file {
        "proxy_url_file"
    } else {
        "proxy_url"
    };
    let key = variable.unwrap_or(match is_file {
        true => "outbound.proxy_url_file",
        false => "outbound.proxy_url",
    });
    let holds_password = |url: &str| url.contains('@');
    let proxy = match t.secret_where("proxy_url", "proxy_url_file", holds_password) {
        Some(Some(url)) => match parse(url.expose(), key) {
            Ok(proxy) => Some(Some(Arc::new(proxy))),
            Err(problem) => {
                t.problem(name, problem);
                None
            }
        },
        other => other.map(|_| None),
    };
    let lists = t.text_or_texts("no_proxy", "leave it out instead", |_, _, list| {
        Some(NoProxy::parse(list))
    });
    let no_proxy = lists.map(|lists| {
        let lists = lists.into_iter().flatten();
        lists.fold(NoProxy::default(), NoProxy::and)
    });
    Some(Egress {
        proxy: proxy?,
        no_proxy: no_proxy?,
    })
}

/// Lets the first of the variables that is set stand in for a key, and says which.
fn fall_back(
    t: &mut Table<'_, '_>,
    name: &'static str,
    variables: [&'static str; 2],
) -> Option<&'static str> {
    let mut variables = variables.into_iter();
    let variable = variables.find(|variable| t.variable(variable).is_some())?;
    t.fall_back(name, variable);
    Some(variable)
}

/// Reads `[http[s]://][user[:password]@]host[:port]`. Without a scheme it is http, as
/// elsewhere.
fn parse(url: &str, key: &'static str) -> Result<Proxy, &'static str> {
    const WANTED: &str = "must be http:// or https://, perhaps user:password@, a host and perhaps \
                          a port, without path; special characters of user and password are \
                          written as %XX";
    let url = url.trim();
    let (secure, rest) = match url.split_once("://") {
        None => (false, url),
        Some((scheme, rest)) => match scheme.to_ascii_lowercase().as_str() {
            "http" => (false, rest),
            "https" => (true, rest),
            _ => {
                return Err(
                    "must be http:// or https://: SOCKS and other kinds of proxies are \
                             not supported",
                );
            }
        },
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (user, authority) = match rest.rsplit_once('@') {
        None => (None, rest),
        Some((user, authority)) => (Some(user), authority),
    };
    let (host, port) = parse_authority(authority).ok_or(WANTED)?;
    let authorization = match user {
        None | Some("") => None,
        Some(user) => Some(basic(user).ok_or(WANTED)?),
    };
    Ok(Proxy {
        secure,
        host,
        port: port.unwrap_or(if secure { 443 } else { 80 }),
        authorization,
        key,
    })
}

/// The value of `Proxy-Authorization` (RFC 7617 section 2).
fn basic(user_info: &str) -> Option<Secret> {
    let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
    let user = percent_decode(user)?;
    if user.contains(&b':') {
        return None;
    }
    let mut credentials = user;
    credentials.push(b':');
    credentials.extend(percent_decode(password)?);
    let is_legal = !credentials.iter().any(u8::is_ascii_control);
    let value = is_legal.then(|| Secret::new(format!("Basic {}", STANDARD.encode(&credentials))));
    zeroize::Zeroize::zeroize(&mut credentials);
    value
}

fn percent_decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                let (high, low) = (digit()?, digit()?);
                u8::try_from(high * 16 + low).ok()?
            }
            // Not in a URL; a slash among them would hide where the host begins.
            b'/' | b'?' | b'#' | b' ' => return None,
            other => other,
        });
    }
    Some(decoded)
}
