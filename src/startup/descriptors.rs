//! How many files and connections the operating system lets this process open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::settings::ServerSettings;

/// What the gateway needs beside its callers' connections and the vendor's: the ledger, its
/// own threads, files, connections to token endpoints and issuers.
const BASE: u64 = 128;
/// Connections of the admin listener, some of which are just being closed.
const ADMIN: u64 = 320;

/// Raises this process's limit of descriptors as far as it may; returns the limit, none if
/// there is none. At the lower default of many systems, 1024, a gateway under load could not
/// accept a connection or reach the vendor.
pub fn raise_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    }
}

/// How many connections of callers can be open with this limit: `server.max_connections` if
/// possible, so that descriptors never run out for health, the ledger and the vendor.
pub fn connections(server: &ServerSettings, limit: Option<u64>) -> usize {
    let wanted = server.max_connections;
    let Some(limit) = limit else {
        return wanted;
    };
    let actions = u64::try_from(server.max_in_flight_actions).unwrap_or(u64::MAX);
    // A worker has a few of its own.
    let workers = u64::try_from(server.workers.get()).unwrap_or(u64::MAX) * 4;
    let others = BASE.saturating_add(ADMIN).saturating_add(workers);
    let others = others.saturating_add(actions);
    let needed = others.saturating_add(u64::try_from(wanted).unwrap_or(u64::MAX));
    if needed <= limit {
        return wanted;
    }
    // A limit too low for the rest is shared.
    let left = limit.saturating_sub(others).max(limit / 4).max(1);
    let possible = usize::try_from(left).unwrap_or(wanted).min(wanted);
    tracing::warn!(
        limit,
        needed,
        max_connections = wanted,
        connections = possible,
        "the limit of open files is too low for server.max_connections; raise it (ulimit -n, \
         LimitNOFILE), or lower server.max_connections"
    );
    possible
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{ConfigSource, load};

    fn server(max_connections: usize) -> ServerSettings {
        let directory = tempfile::TempDir::new().unwrap();
        let text = format!(
            "[server]\nworkers = 2\nmax_connections = {max_connections}\nmax_in_flight_actions = 256\n\
             [credentials.a]\nkind = \"managed-identity\"\n\
             [[publishers]]\nid = \"contoso\"\ncredential = \"a\"\n"
        );
        std::fs::write(directory.path().join("base.toml"), text).unwrap();
        let source = ConfigSource {
            dir: Some(directory.path().to_owned()),
            ..ConfigSource::default()
        };
        load(&source).unwrap().settings.server
    }

    #[test]
    fn connections_leave_descriptors_for_everything_else() {
        for (max, limit, expected) in [
            (10_000, None, 10_000),
            (10_000, Some(1_048_576), 10_000),
            (10_000, Some(10_712), 10_000),
            (10_000, Some(10_711), 9_999),
            (10_000, Some(1024), 312),
            (100, Some(1024), 100),
            (10_000, Some(256), 64),
            (10_000, Some(1), 1),
        ] {
            let possible = connections(&server(max), limit);
            assert_eq!(possible, expected, "{max}, {limit:?}");
        }
    }
}
