//! `examples/`: each program, against a gateway and the sandbox, ends with the exit code that it
//! promises, and says why.

use std::fs;
use std::net::SocketAddr;

use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::TIMEOUT;
use super::dropped::drops_the_first_answer;
use super::ends::{ENDS, Worlds};
use super::programs::{self, Call, Missing, Program};
use crate::helpers::{KEY, READER_KEY, World};
use crate::process::Process;
use crate::proxy::{Conduct, Proxy};
use crate::tools::skip;

/// So many run at a time.
const AT_ONCE: usize = 4;

/// One call of a program, and how it has to end.
struct Case {
    offer: String,
    seconds: &'static str,
    url: String,
    key: &'static str,
    code: i32,
    /// A part of what it says.
    says: &'static str,
    /// How many requests for a cancel the vendor has received in the end.
    cancels: usize,
}

impl Case {
    fn new(at: SocketAddr, offer: String, code: i32, says: &'static str, cancels: usize) -> Self {
        Self {
            offer,
            seconds: "120",
            url: format!("http://{at}"),
            key: KEY,
            code,
            says,
            cancels,
        }
    }

    fn seconds(self, seconds: &'static str) -> Self {
        Self { seconds, ..self }
    }

    fn key(self, key: &'static str) -> Self {
        Self { key, ..self }
    }

    fn url(self, url: &str) -> Self {
        let url = url.to_owned();
        Self { url, ..self }
    }
}

/// What goes wrong before there is an operation, or on the way.
async fn troubles(world: &World, front: SocketAddr, proxy: SocketAddr, name: &str) -> Vec<Case> {
    let at = world.address();
    let order = async |offer: &str, times: u32, fault: Value| {
        let order = json!({
            "on": "cancel", "offer": offer, "times": times, "fault": fault,
            "acts": fault["kind"] == "status",
        });
        world.vendor.order(order).await;
    };
    let throttle = json!({"kind": "throttle", "retryAfterSeconds": 1});
    order(&format!("migrated-later-{name}"), 1, throttle.clone()).await;
    order(&format!("migrated-never-{name}"), 0, throttle).await;
    let failure = json!({"kind": "status", "status": 500});
    order(&format!("migrated-failed-{name}"), 1, failure).await;
    let slow = json!({"cancelSeconds": 600, "submissions": [{}]});
    let path = format!("offers/contoso/slow-{name}");
    world.vendor.control("PUT", &path, slow).await;
    let case = |kind: &str, code, says, cancels| {
        Case::new(at, format!("{kind}-{name}"), code, says, cancels)
    };
    let nowhere = "http://127.0.0.1:1";
    vec![
        case("missing", 1, "offer-not-found", 1),
        case("forbidden", 77, "publisher-access-denied", 1),
        case("migrated-wrong", 77, "unauthenticated", 0).key("wrong-key-0123456789"),
        case("migrated-reader", 77, "caller-not-allowed", 0).key(READER_KEY),
        // 429 is repeated after `Retry-After`, within the time limit.
        case("migrated-later", 0, "canceled", 2),
        case("migrated-never", 75, "", 1).seconds("3"),
        // 502 portal-failed: it may have been carried out, so it is followed.
        case("migrated-failed", 0, "canceled", 1),
        case("slow", 75, "/operations/", 1).seconds("3"),
        // The answer is lost, the repetition gets it.
        case("migrated-lost", 0, "canceled", 1).url(&format!("http://{front}")),
        case("migrated-nowhere", 69, "no answer", 0).url(nowhere),
        // An answer of something else, such as a proxy.
        case("migrated-proxy", 69, "no answer", 0).url(&format!("http://{proxy}")),
        case("migrated/../x", 2, "", 0).url(nowhere),
        case("migrated-usage", 2, "", 0).url(""),
    ]
}

async fn ends_as_promised(program: fn() -> Result<Program, Missing>) {
    // Go compiles.
    let program = match tokio::task::spawn_blocking(program).await.unwrap() {
        Ok(program) => program,
        Err(Missing { variable, why }) => return skip(variable, &why),
    };
    let name = program.name;
    let worlds = Worlds::start(&[name]).await;
    let front = drops_the_first_answer(worlds.patient.address()).await;
    let proxy = Proxy::start().await;
    let page = "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\
                Connection: close\r\n\r\n<p>Sorry.</p>";
    proxy.conduct(Conduct::Answer(page));
    let mut cases = troubles(&worlds.patient, front, proxy.address, name).await;
    cases.extend(ENDS.iter().map(|end| {
        let (code, says) = end.code.map_or((0, end.outcome), |code| (1, code));
        Case::new(worlds.of(end).address(), end.offer(name), code, says, 1)
    }));
    let runs = cases.iter().map(|case| run(&program, case));
    let runs: Vec<()> = stream::iter(runs).buffer_unordered(AT_ONCE).collect().await;
    assert_eq!(runs.len(), cases.len());
    for case in cases.iter().filter(|case| !case.offer.contains('/')) {
        let gives_up = ENDS.iter().find(|end| end.offer(name) == case.offer);
        let world = gives_up.map_or(&worlds.patient, |end| worlds.of(end));
        let cancels = world.vendor.cancels(&case.offer).await.len();
        // How often it is tried again until the time limit depends on the machine.
        let right = cancels == case.cancels || (case.code == 75 && cancels > case.cancels);
        assert!(right, "{name} {}: {cancels} cancels", case.offer);
    }
}

async fn run(program: &Program, case: &Case) {
    let directory = TempDir::new().unwrap();
    let call = Call {
        offer: &case.offer,
        seconds: case.seconds,
        url: &case.url,
        key: case.key,
    };
    let mut command = (program.start)(&call, directory.path());
    let ended = Process::spawn(&mut command).ended_within(TIMEOUT).await;
    let read = |name| fs::read_to_string(directory.path().join(name)).unwrap_or_default();
    let said = format!("{}{}{}", ended.stdout, ended.stderr, read("summary"));
    let context = format!("{} {}: {ended:?}\n{said}", program.name, case.offer);
    assert_eq!(ended.code, Some(case.code), "{context}");
    assert!(said.contains(case.says), "{context}");
    assert!(!said.contains(case.key), "{context}");
    if program.name == "workflow" && case.code == 0 {
        assert_eq!(
            read("output"),
            format!("outcome={}\n", case.says),
            "{context}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shell_script_ends_as_promised() {
    ends_as_promised(programs::shell).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_with_requests_ends_as_promised() {
    ends_as_promised(|| programs::python("requests", "examples/cancel.py")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_with_azure_core_ends_as_promised() {
    ends_as_promised(|| programs::python("azure", "examples/cancel_lro.py")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_for_node_ends_as_promised() {
    ends_as_promised(programs::node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_in_go_ends_as_promised() {
    ends_as_promised(programs::go).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_step_of_the_workflow_ends_as_promised() {
    ends_as_promised(programs::workflow).await;
}
