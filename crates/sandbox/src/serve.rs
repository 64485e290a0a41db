//! The life of a connection: read a request, find out what it is for, enter it in the
//! journal, let a fault strike if one was ordered, carry it out, and send the answer in the
//! manner that the fault wants.

use std::sync::Arc;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::entra;
use super::faults::{Kind, Scene, bend};
use super::route::Route;
use super::wire::{Answer, Connection, Next, Reply, Request};
use super::world::World;
use super::{control, vendor};

/// Serves requests until the connection ends, or `stop` wants no further one.
pub(super) async fn connection(world: Arc<World>, mut wire: Connection, stop: CancellationToken) {
    loop {
        let read = tokio::select! {
            // Between two requests nothing is under way that could get lost.
            () = stop.cancelled() => return,
            read = wire.read_request() => read,
        };
        let request = match read {
            Ok(request) => request,
            Err(refusal) => {
                if let Some(answer) = refusal.answer()
                    && wire.send(&answer, false).await.is_ok()
                {
                    wire.finish().await;
                }
                return;
            }
        };
        let keep_alive = request.keep_alive;
        let (reply, seq) = tokio::select! {
            biased;
            replied = respond(&world, &request) => replied,
            // A client that leaves while it waits for an event is not waited for.
            () = wire.gone() => return,
        };
        let note = |reply: &Reply| {
            if let Some(seq) = seq.filter(|_| reply.manner.answers()) {
                world.journal.answered(seq, reply.answer.status);
            }
        };
        match wire.deliver(reply, keep_alive, note).await {
            Ok(Next::Keep) => {}
            Ok(Next::End) => break,
            Ok(Next::Drop) => return,
            Err(error) => {
                tracing::debug!(%error, "the client left before its answer was sent");
                return;
            }
        }
    }
    wire.finish().await;
}

/// The reply to a request, and its number in the journal if it is in there.
async fn respond(world: &World, request: &Request) -> (Reply, Option<u64>) {
    let route = Route::of(request);
    if let Route::Control(segments) = &route {
        let answer = control::answer(world, request, segments).await;
        return (answer.into(), None);
    }
    let seq = world.journal.enter(request, route.key());
    if route.is_for_token() {
        // Counted before a fault can strike: a call that fails is a call all the same.
        let counted = world.allowance().count();
        if let Err(surplus) = counted {
            world.journal.met(seq, "surplus");
            return (vendor::identified(surplus.answer()).into(), Some(seq));
        }
    }
    let struck = world.faults().strike(&route);
    let Some(struck) = struck else {
        return (carry_out(world, &route, request, false).into(), Some(seq));
    };
    tracing::debug!(seq, fault = struck.kind.name(), "a fault strikes");
    world.journal.met(seq, struck.kind.name());
    let normal = if struck.acts {
        let again = matches!(struck.kind, Kind::SameToken {});
        carry_out(world, &route, request, again)
    } else {
        not_carried_out(&route)
    };
    let scene = Scene {
        request,
        for_token: route.is_for_token(),
        identity: match &route {
            Route::ManagedIdentity(host) => Some(*host),
            _ => None,
        },
        options: &world.options,
        normal,
    };
    (bend(struck.kind, scene), Some(seq))
}

fn carry_out(world: &World, route: &Route, request: &Request, again: bool) -> Answer {
    match route {
        Route::Token { tenant, endpoint } => {
            let now = Timestamp::now();
            let judged = entra::judge(request, tenant, *endpoint, &mut world.application(), now);
            let answer = entra::token(judged, *endpoint, &mut world.book(), again, now);
            vendor::identified(answer)
        }
        Route::ManagedIdentity(host) => {
            let judged = entra::judge_identity(request, *host, &world.application());
            let answer = entra::identity_answer(judged, *host, &mut world.book(), again);
            vendor::identified(answer)
        }
        _ => vendor::call(world, route, request),
    }
}

/// What a vendor says that answers as if it had done something, and did not.
fn not_carried_out(route: &Route) -> Answer {
    let status = if route.is_action() { 202 } else { 200 };
    vendor::identified(Answer::json(status, &serde_json::json!({})))
}
