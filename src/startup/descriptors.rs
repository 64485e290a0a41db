//! How many files and connections the operating system lets this process open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::operation::MAX_POLLS;
use crate::settings::ServerSettings;

/// What the gateway needs beside its callers' connections and the vendor's: the ledger, its
/// own threads, files, connections to token endpoints and issuers.
const BASE: usize = 128;
/// Connections of the admin listener, some of which are just being closed.
const ADMIN: usize = 320;

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

/// What may be open at a time, so that descriptors never run out for health, the ledger and
/// the token endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionBudget {
    /// Callers' connections: `server.max_connections` if possible.
    pub callers: usize,
    /// Concurrent polls of the vendor.
    pub polls: usize,
}

/// The connections that are possible with this limit of descriptors.
pub fn budget(server: &ServerSettings, limit: Option<u64>) -> ConnectionBudget {
    let wanted = ConnectionBudget {
        callers: server.max_connections,
        polls: MAX_POLLS,
    };
    let Some(limit) = limit.and_then(|limit| usize::try_from(limit).ok()) else {
        return wanted;
    };
    // A worker has a few of its own.
    let workers = server.workers.get().saturating_mul(4);
    let others = (BASE + ADMIN)
        .saturating_add(workers)
        .saturating_add(server.max_in_flight_actions);
    let needed = others
        .saturating_add(wanted.polls)
        .saturating_add(wanted.callers);
    if needed <= limit {
        return wanted;
    }
    // A limit too low for the rest is shared.
    let left = limit.saturating_sub(others).max(limit / 4);
    let polls = (left / 4).clamp(1, wanted.polls);
    let possible = ConnectionBudget {
        callers: left.saturating_sub(polls).clamp(1, wanted.callers),
        polls,
    };
    tracing::warn!(
        limit,
        needed,
        max_connections = wanted.callers,
        connections = possible.callers,
        polls = possible.polls,
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
        for (max, limit, callers, polls) in [
            (10_000, None, 10_000, 896),
            (10_000, Some(1_048_576), 10_000, 896),
            (10_000, Some(11_608), 10_000, 896),
            (10_000, Some(11_607), 9_999, 896),
            (10_000, Some(1024), 234, 78),
            (100, Some(1024), 100, 78),
            (10_000, Some(256), 48, 16),
            (10_000, Some(1), 1, 1),
        ] {
            let possible = budget(&server(max), limit);
            assert_eq!(
                possible,
                ConnectionBudget { callers, polls },
                "{max}, {limit:?}"
            );
        }
    }
}
