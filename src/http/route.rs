//! The form of the route table: a route is its path, its methods and what the API's
//! description says about each, so that none can be served without being described.

use actix_web::guard::{Any, Get, Head, Post};
use actix_web::http::header::HeaderValue;
use actix_web::{HttpResponse, Resource, Route, web};

use super::Problem;
use super::access_log::RouteTemplate;
use super::openapi::Description;

/// Routes whose paths share a plain prefix; the prefix is looked at first, so that a request
/// meets one pattern and not all of them. Without a prefix each is matched by itself.
pub struct RouteGroup {
    /// What all paths of the group begin with.
    pub prefix: &'static str,
    /// The routes.
    pub routes: &'static [ApiRoute],
}

/// A path, and what it answers.
pub struct ApiRoute {
    /// The whole path, as the log and the description name it.
    pub path: &'static str,
    /// Its methods; others are answered 405 with `Allow`.
    pub methods: &'static [ApiMethod],
}

/// One method of a route.
pub struct ApiMethod {
    /// The method.
    pub verb: Verb,
    /// The name of the operation in the description; no two routes share one.
    pub id: &'static str,
    /// Adds the handler to a route that is guarded by the method.
    pub handle: fn(Route) -> Route,
    /// What the description says.
    pub describe: fn() -> Description,
}

/// A method, or two that belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// GET, and HEAD, for which the HTTP library leaves out the body.
    Get,
    /// POST.
    Post,
}

impl Verb {
    /// The names for `Allow`.
    fn allow(self) -> &'static str {
        match self {
            Self::Get => "GET, HEAD",
            Self::Post => "POST",
        }
    }

    fn route(self) -> Route {
        match self {
            Self::Get => web::route().guard(Any(Get()).or(Head())),
            Self::Post => web::route().guard(Post()),
        }
    }
}

impl RouteGroup {
    /// Serves the routes.
    pub fn register(&self, config: &mut web::ServiceConfig) {
        if self.prefix.is_empty() {
            for route in self.routes {
                config.service(route.resource(route.path));
            }
            return;
        }
        let mut scope = web::scope(self.prefix);
        for route in self.routes {
            let rest = route.path.strip_prefix(self.prefix);
            scope = scope.service(route.resource(rest.unwrap_or(route.path)));
        }
        config.service(scope);
    }
}

impl ApiRoute {
    /// The methods, for `Allow`.
    fn allow(&self) -> String {
        let names: Vec<&str> = self.methods.iter().map(|it| it.verb.allow()).collect();
        names.join(", ")
    }

    fn resource(&self, path: &str) -> Resource {
        let mut resource = web::resource(path).app_data(RouteTemplate(self.path));
        for method in self.methods {
            resource = resource.route((method.handle)(method.verb.route()));
        }
        // Always valid: it is made of method names.
        let allow = HeaderValue::try_from(self.allow()).ok();
        resource.default_service(web::to(move || {
            let problem = Problem::method_not_allowed(allow.clone());
            async move { Err::<HttpResponse, _>(problem) }
        }))
    }
}
