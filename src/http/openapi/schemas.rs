//! The documents of requests and answers. Tests hold every answer that they see against these:
//! a member that is missing here, or there, is found.

use utoipa::openapi::schema::{
    AdditionalProperties, AnyOfBuilder, ArrayBuilder, OneOfBuilder, SchemaType,
};
use utoipa::openapi::{KnownFormat, ObjectBuilder, Ref, RefOr, Schema, SchemaFormat, Type};

use crate::domain::{Action, Delivered, MAX_EMAILS, Origin, Outcome, ProblemCode, Status};

/// One address, without anchors; see [`Email`](crate::domain::Email).
const EMAIL: &str = "[!-+\\--:<-?A-~]{1,64}@[!-+\\--:<-?A-~]{1,189}";

/// Every definition, with its name.
pub fn definitions() -> Vec<(&'static str, RefOr<Schema>)> {
    vec![
        ("Operation", operation().into()),
        ("Status", status().into()),
        ("Outcome", outcome().into()),
        ("Delivered", delivered().into()),
        ("PortalFacts", portal_facts().into()),
        ("OperationError", operation_error().into()),
        ("Problem", problem().into()),
        ("PortalProblem", portal_problem().into()),
        ("ActionBody", action_body().into()),
    ]
}

fn operation() -> ObjectBuilder {
    object("One action that a caller requested, and everything known about it.")
        .with(
            "id",
            uuid("Also the last segment of `operationLocation`; sorts by time."),
        )
        .with(
            "action",
            values("The requested action.", [Action::Cancel.as_str()]),
        )
        .with("status", reference("Status", "How it stands."))
        .with(
            "outcome",
            nullable(
                "Outcome",
                "How it ended; null while unfinished, and if it was refused.",
            ),
        )
        .with("offerId", text("The offer."))
        .with("publisherId", text("Its publisher."))
        .with("operationLocation", uri("Where to follow it, absolute."))
        .with(
            "createdAt",
            time("When the request was recorded, before anything was sent."),
        )
        .with("updatedAt", time("When the latest change was found."))
        .with("requestedBy", text("The caller that requested it."))
        .with(
            "requestId",
            text("The id of the request, as in `X-Request-Id`."),
        )
        .with("portal", reference("PortalFacts", "What the vendor said."))
        .with(
            "error",
            nullable("OperationError", "Why it is `Failed`; else null."),
        )
}

fn status() -> ObjectBuilder {
    let meaning = |status: &Status| match status {
        Status::NotStarted => "recorded, not yet answered by the vendor",
        Status::Running => "answered by the vendor, not known to have ended",
        Status::Succeeded => "ended: what was asked for is so",
        Status::Failed => "ended: not confirmed, and `error` says why",
        Status::Canceled => "ended: the requested action was called off; never the end of a cancel",
    };
    let all = Status::ALL.iter();
    let list = all.map(|status| (status.as_str(), meaning(status)));
    explained(
        "The status of what the caller asked for, in the terms of Azure's status monitors.",
        list,
    )
}

fn outcome() -> ObjectBuilder {
    let meaning = |outcome: &Outcome| match outcome {
        Outcome::Canceled => "the publish that the cancel applied to ended canceled",
        Outcome::NothingToCancel => "nothing was running when the cancel was sent",
        Outcome::AlreadyFailed => "the publish had failed by itself",
        Outcome::AlreadyCompleted => "the publish completed before the cancel could take effect",
        Outcome::NotCanceled => "the publish is still running",
        Outcome::Unknown => "the evidence does not decide; `error.message` says why",
    };
    let all = Outcome::ALL.iter();
    let list = all.map(|outcome| (outcome.as_str(), meaning(outcome)));
    explained(
        "How a cancel ended, as far as the vendor's data proves it.",
        list,
    )
}

fn delivered() -> ObjectBuilder {
    let meaning = |delivered: &Delivered| match delivered {
        Delivered::No => "it provably never left the gateway",
        Delivered::Yes => "the vendor answered it",
        Delivered::Unknown => "it may have arrived; no answer came back",
    };
    let all = Delivered::ALL.iter();
    let list = all.map(|delivered| (delivered.as_str(), meaning(delivered)));
    explained("Whether the vendor received the request.", list)
}

fn portal_facts() -> ObjectBuilder {
    object("What the vendor said about it.")
        .with(
            "httpStatus",
            number("The status of its answer to the action; null while nothing was received.", true),
        )
        .with("status", maybe("Its own word for the state, verbatim, as plain text."))
        .with(
            "operationLocation",
            maybe("Its own status monitor, if it named one of a known form. Only the gateway can read it."),
        )
        .with("correlationId", maybe("Its correlation id, for support requests."))
        .with("delivered", reference("Delivered", "Whether the vendor received the request."))
}

fn operation_error() -> ObjectBuilder {
    let all = ProblemCode::ALL.iter();
    let codes = all.filter(|code| code.ends_operations());
    object("Why an operation is `Failed`.")
        .with(
            "code",
            values(
                "For programs; `/problems/{code}` explains it.",
                codes.map(|it| it.as_str()),
            ),
        )
        .with(
            "message",
            text("For people. Tokens in the vendor's text are redacted."),
        )
}

fn problem() -> ObjectBuilder {
    let origins = [Origin::Gateway, Origin::Portal, Origin::IdentityProvider];
    object("A problem document (RFC 9457).")
        .with("type", uri("The address of the page that explains the code."))
        .with("title", text("One line that is the same for every problem of this code."))
        .with("status", number("The HTTP status.", false))
        .with("detail", text("What happened, which limit or rule it was, and what to do."))
        .with("message", text("The same as `detail`, for Azure SDKs."))
        .with(
            "code",
            values("For programs.", ProblemCode::ALL.iter().map(|code| code.as_str())),
        )
        .with("requestId", text("The id of the request in the gateway's log."))
        .with("origin", values("Who is at fault.", origins.map(Origin::as_str)))
        .with(
            "retryable",
            ObjectBuilder::new().schema_type(Type::Boolean).description(Some(
                "Whether repeating the request can help. Never true if the action may have been \
                 carried out: follow `operationLocation` then.",
            )),
        )
        .with("delivered", reference("Delivered", "Whether the vendor received the request."))
        .property("instance", text("The path of the request, unless it could not be read."))
        .property(
            "operationLocation",
            uri("Where to follow the operation, if one was recorded."),
        )
        .property("portal", reference("PortalProblem", "What the vendor answered, if it did."))
}

fn portal_problem() -> ObjectBuilder {
    object("The vendor's error: plain text, at most 1 KiB each, with tokens redacted.")
        .with("httpStatus", number("The status of its answer.", false))
        .with("code", maybe("Its error code."))
        .with("message", maybe("Its message."))
        .with(
            "correlationId",
            maybe("Its correlation id, for support requests."),
        )
}

/// The body in either form. Neither has further members.
fn action_body() -> AnyOfBuilder {
    let addresses = ArrayBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Array, Type::Null]))
        .items(string().pattern(Some(format!("^{EMAIL}$"))))
        .max_items(Some(MAX_EMAILS))
        .description(Some("The addresses that the vendor notifies, at most 20."));
    let list = string()
        .pattern(Some(format!(
            "^{EMAIL}(, ?{EMAIL}){{0,{}}}$",
            MAX_EMAILS - 1
        )))
        .description(Some("The addresses, separated by commas, at most 20."));
    let metadata = closed(
        "`{\"notification-emails\": \"…\"}`: the addresses, separated by commas, at most 20.",
    )
    .property("notification-emails", list);
    AnyOfBuilder::new()
        .description(Some(
            "What an action may carry. No body at all means the same as `{}`.",
        ))
        .item(closed("The gateway's form.").property("notificationEmails", addresses))
        .item(closed("The vendor's form.").property("metadata", metadata))
}

/// Members that are always there.
trait AlwaysThere {
    fn with(self, name: &str, schema: impl Into<RefOr<Schema>>) -> Self;
}

impl AlwaysThere for ObjectBuilder {
    fn with(self, name: &str, schema: impl Into<RefOr<Schema>>) -> Self {
        self.property(name, schema).required(name)
    }
}

fn object(description: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some(description))
}

fn closed(description: &str) -> ObjectBuilder {
    object(description).additional_properties(Some(AdditionalProperties::FreeForm(false)))
}

fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn text(description: &str) -> ObjectBuilder {
    string().description(Some(description))
}

/// A text that may be null.
fn maybe(description: &str) -> ObjectBuilder {
    text(description).schema_type(SchemaType::from_iter([Type::String, Type::Null]))
}

fn number(description: &str, or_null: bool) -> ObjectBuilder {
    let types = match or_null {
        true => SchemaType::from_iter([Type::Integer, Type::Null]),
        false => Type::Integer.into(),
    };
    text(description)
        .schema_type(types)
        .minimum(Some(100))
        .maximum(Some(999))
}

fn time(description: &str) -> ObjectBuilder {
    text(description).format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
}

fn uri(description: &str) -> ObjectBuilder {
    text(description).format(Some(SchemaFormat::Custom("uri".into())))
}

fn uuid(description: &str) -> ObjectBuilder {
    text(description).format(Some(SchemaFormat::Custom("uuid".into())))
}

fn values(description: &str, values: impl IntoIterator<Item = &'static str>) -> ObjectBuilder {
    text(description).enum_values(Some(values))
}

fn explained(
    description: &str,
    meanings: impl Iterator<Item = (&'static str, &'static str)>,
) -> ObjectBuilder {
    let (names, lines): (Vec<_>, Vec<_>) = meanings
        .map(|(name, meaning)| (name, format!("\n- `{name}`: {meaning}")))
        .unzip();
    values(&format!("{description}\n{}", lines.concat()), names)
}

fn reference(name: &str, description: &str) -> RefOr<Schema> {
    let mut reference = Ref::from_schema_name(name);
    reference.description = description.to_owned();
    RefOr::Ref(reference)
}

/// A definition, or null.
fn nullable(name: &str, description: &str) -> OneOfBuilder {
    OneOfBuilder::new()
        .item(Ref::from_schema_name(name))
        .item(ObjectBuilder::new().schema_type(Type::Null))
        .description(Some(description))
}
