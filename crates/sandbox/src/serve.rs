//! The life of a connection: read a request, find its route, record it in the journal, take a
//! pending fault if one matches, execute the request, and deliver the response as the fault
//! demands.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::entra;
use super::fault_kind::FaultKind;
use super::faults::{TakenFault, apply_fault};
use super::route::Route;
use super::state::SandboxState;
use super::wire::{Connection, Disposition, Request, Response};
use super::{control, vendor};

/// Serves requests until the connection ends or `stop` is cancelled.
pub(super) async fn connection(
    state: Arc<SandboxState>,
    stream: TcpStream,
    number: u64,
    stop: CancellationToken,
) {
    let mut connection = match Connection::open(stream, number, state.options.tls.clone()).await {
        Ok(connection) => connection,
        Err(error) => {
            tracing::debug!(%error, "sandbox: cannot open a connection");
            return;
        }
    };
    loop {
        let read = tokio::select! {
            // Between two requests there is nothing to lose.
            () = stop.cancelled() => return,
            read = connection.read_request() => read,
        };
        let request = match read {
            Ok(request) => request,
            Err(error) => {
                if let Some(response) = error.response()
                    && connection.send(&response, false).await.is_ok()
                {
                    connection.finish().await;
                }
                return;
            }
        };
        let keep_alive = request.keep_alive;
        let (response, fault, seq) = tokio::select! {
            biased;
            responded = respond(&state, &request) => responded,
            // A client that disconnects while it waits for an event is not waited for.
            () = connection.disconnected() => return,
        };
        let record_status = || {
            let sends_status = fault.as_ref().is_none_or(FaultKind::sends_status);
            if let Some(seq) = seq.filter(|_| sends_status) {
                state.journal.record_status(seq, response.status);
            }
        };
        let delivered = connection.deliver(&response, fault.as_ref(), keep_alive, record_status);
        match delivered.await {
            Ok(Disposition::KeepAlive) => {}
            Ok(Disposition::Close) => break,
            Ok(Disposition::Abort) => return,
            Err(error) => {
                tracing::debug!(%error, "sandbox: client disconnected before its response was sent");
                return;
            }
        }
    }
    connection.finish().await;
}

/// The response to a request, the fault that it suffers, and its number in the journal.
async fn respond(
    state: &SandboxState,
    request: &Request,
) -> (Response, Option<FaultKind>, Option<u64>) {
    let route = Route::of(request);
    // A health check in a container need not know of TLS.
    if request.plaintext && !route.is_health() {
        let response = Response::text(400, "This sandbox speaks TLS: use https.\n");
        return (response, None, None);
    }
    if let Route::Control(segments) = &route {
        let response = control::respond(state, request, segments).await;
        return (response, None, None);
    }
    let seq = state.journal.record(request, route.key());
    if route.is_for_token() {
        // Counted before a fault is taken: a call that fails is a call all the same.
        let counted = state.allowance.lock().count();
        if let Err(error) = counted {
            state.journal.record_fault(seq, "surplus".into());
            return (vendor::identified(error.response()), None, Some(seq));
        }
    }
    let taken = state.faults.lock().take(&route);
    let Some(TakenFault { kind, acts }) = taken else {
        return (execute(state, &route, request), None, Some(seq));
    };
    let name = kind.name();
    tracing::debug!(seq, fault = name, "sandbox: applying a fault");
    state.journal.record_fault(seq, name);
    let normal = if acts {
        execute(state, &route, request)
    } else {
        pretend(&route)
    };
    let response = apply_fault(kind.clone(), &route, request, &state.options, normal);
    (response, Some(kind), Some(seq))
}

fn execute(state: &SandboxState, route: &Route, request: &Request) -> Response {
    let response = match route {
        Route::Token { tenant, endpoint } => {
            let now = Timestamp::now();
            let mut application = state.application.lock();
            let validated =
                entra::validate_token_request(request, tenant, *endpoint, &mut application, now);
            drop(application);
            let mut tokens = state.tokens.lock();
            entra::token_response(validated, *endpoint, &mut tokens, now)
        }
        Route::ManagedIdentity(host) => {
            let validated =
                entra::validate_identity_request(request, *host, &state.application.lock());
            entra::identity_response(validated, *host, &mut state.tokens.lock())
        }
        _ => return vendor::call(state, route, request),
    };
    vendor::identified(response)
}

/// The response of a vendor that claims success without having done anything.
fn pretend(route: &Route) -> Response {
    let status = if route.is_action() { 202 } else { 200 };
    vendor::identified(Response::json(status, &serde_json::json!({})))
}
