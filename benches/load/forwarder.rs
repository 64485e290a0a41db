//! The yardstick: the fastest honest forwarder that actix-web and awc make without
//! tricks. It passes on method, path and body with a fixed Authorization header,
//! and status, headers and body of the answer. It logs, checks and records nothing.

use std::io::Error;
use std::net::TcpListener;

use actix_web::error::ErrorBadGateway;
use actix_web::http::Uri;
use actix_web::http::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HeaderValue};
use actix_web::http::uri::{Authority, Scheme};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, rt, web};

use crate::process::announce;
use crate::workplace::TOKEN_LENGTH;

/// What one worker has: its own connections, and where they lead.
struct Upstream {
    client: awc::Client,
    authority: Authority,
    authorization: HeaderValue,
}

impl Upstream {
    fn new(authority: Authority, authorization: HeaderValue) -> Self {
        // As the gateway's client: no limit of its own, no redirects, no extra headers.
        let client = awc::Client::builder()
            .connector(awc::Connector::new().limit(0))
            .disable_redirects()
            .no_default_headers()
            .finish();
        Self {
            client,
            authority,
            authorization,
        }
    }
}

/// Serves with one worker until its standard input ends.
pub fn run(arguments: &[String]) -> Result<(), Error> {
    let target = arguments.first().map_or("", String::as_str);
    let authority: Authority = target.parse().map_err(Error::other)?;
    let bearer = format!("Bearer {}", "t".repeat(TOKEN_LENGTH));
    let authorization = HeaderValue::from_str(&bearer).map_err(Error::other)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    announce(listener.local_addr()?);
    let app = move || {
        let upstream = Upstream::new(authority.clone(), authorization.clone());
        App::new()
            .app_data(web::Data::new(upstream))
            .default_service(web::to(forward))
    };
    rt::System::new().block_on(HttpServer::new(app).workers(1).listen(listener)?.run())
}

async fn forward(
    request: HttpRequest,
    body: web::Bytes,
    upstream: web::Data<Upstream>,
) -> Result<HttpResponse, actix_web::Error> {
    let mut uri = request.uri().clone().into_parts();
    uri.scheme = Some(Scheme::HTTP);
    uri.authority = Some(upstream.authority.clone());
    let uri = Uri::from_parts(uri).map_err(ErrorBadGateway)?;
    let mut answer = upstream
        .client
        .request(request.method().clone(), uri)
        .insert_header((AUTHORIZATION, upstream.authorization.clone()))
        .send_body(body)
        .await
        .map_err(ErrorBadGateway)?;
    let mut response = HttpResponse::build(answer.status());
    for (name, value) in answer.headers() {
        if name != CONNECTION && name != CONTENT_LENGTH {
            response.append_header((name.clone(), value.clone()));
        }
    }
    let body = answer.body().await.map_err(ErrorBadGateway)?;
    Ok(response.body(body))
}
