//! The description as it is served: two buffers, made when they are first asked for and shared
//! by all threads.

use std::sync::{Arc, OnceLock};

use actix_web::web::Bytes;

use super::document::document;
use super::html;
use crate::http::route::RouteGroup;

/// The API's description, for machines and for people.
pub struct Contract {
    routes: &'static [RouteGroup],
    public_url: Arc<str>,
    json: OnceLock<Bytes>,
    page: OnceLock<Bytes>,
}

impl Contract {
    /// The description of these routes, for callers that reach the gateway at `public_url`.
    pub(in crate::http) fn new(routes: &'static [RouteGroup], public_url: &str) -> Self {
        Self {
            routes,
            public_url: public_url.into(),
            json: OnceLock::new(),
            page: OnceLock::new(),
        }
    }

    /// The OpenAPI document, as one line of JSON.
    pub fn json(&self) -> Bytes {
        let json = self.json.get_or_init(|| {
            let document = document(self.routes, &self.public_url);
            // Serializing it cannot fail; an empty body would still carry the status.
            let mut json = serde_json::to_vec(&document).unwrap_or_default();
            json.push(b'\n');
            json.into()
        });
        json.clone()
    }

    /// The same as an HTML page.
    pub fn page(&self) -> Bytes {
        let page = self.page.get_or_init(|| {
            let document = document(self.routes, &self.public_url);
            html::page(&document, &self.public_url).into()
        });
        page.clone()
    }
}
