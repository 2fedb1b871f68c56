//! The shell of the pages: layout, components, charts as SVG, assets, and the stream that keeps pages live.
//!
//! Pages are functions from a view struct to HTML. No request leaves the page's origin.

mod assets;
pub mod chart;
pub mod explanation;
mod format;
mod live;

use std::sync::Arc;

use axum::response::Html;
use minijinja::value::{Serde, Value};
use minijinja::{Environment, UndefinedBehavior, context};
use platform_events::Events;
use platform_primitives::{ErrorKind, Fault};
use platform_web::dialect::Dialect;
use platform_web::{Access, Routes, Surface};
use serde::Serialize;

pub use assets::STYLE;
pub use format::{count, encoded, money, number, percent, short_time};

/// Pages for the `Accept: text/html` world.
#[derive(Clone)]
pub struct Ui {
    environment: Arc<Environment<'static>>,
}

#[derive(Debug, thiserror::Error)]
#[error("page {template} cannot be rendered: {source}")]
pub struct PageError {
    template: String,
    source: minijinja::Error,
}

impl Fault for PageError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Internal
    }
    fn code(&self) -> &'static str {
        "ui/render"
    }
}

#[derive(Serialize)]
struct NavItem {
    key: &'static str,
    label: &'static str,
    href: &'static str,
}

const NAV: [NavItem; 5] = [
    NavItem { key: "home", label: "Home", href: "/" },
    NavItem { key: "runs", label: "Runs", href: "/experiments" },
    NavItem { key: "models", label: "Models", href: "/models" },
    NavItem { key: "endpoints", label: "Endpoints", href: "/endpoints" },
    NavItem { key: "audit", label: "Audit log", href: "/audit" },
];

/// Who a page is: its place in the navigation, its own address, its title.
#[derive(Debug, Clone)]
pub struct PageHead {
    pub section: &'static str,
    pub path: String,
    pub title: String,
}

/// One line of an event list.
#[derive(Debug, Clone, Serialize)]
pub struct EventLine {
    pub when: String,
    pub iso: String,
    pub title: String,
    pub detail: String,
    /// `good`, `bad`, `warn`, `accent` or empty.
    pub tone: &'static str,
}

impl Ui {
    /// Compiles the shell's templates and those of the groups. Fails at start, not at the first visit.
    pub fn new(groups: &[&'static [(&'static str, &'static str)]]) -> Result<Self, PageError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.add_filter("encoded", |text: String| encoded(&text));
        let own: &[(&str, &str)] = &[
            ("layout.html", include_str!("../templates/layout.html")),
            ("components.html", include_str!("../templates/components.html")),
        ];
        for (name, source) in own.iter().chain(groups.iter().flat_map(|templates| templates.iter())) {
            environment
                .add_template(name, source)
                .map_err(|source| PageError { template: (*name).to_owned(), source })?;
        }
        Ok(Self { environment: Arc::new(environment) })
    }

    /// Renders `template` with `view`; an undefined variable is an error.
    pub fn page(
        &self,
        template: &str,
        head: &PageHead,
        view: &impl Serialize,
    ) -> Result<Html<String>, PageError> {
        let fail = |source| PageError { template: template.to_owned(), source };
        let template = self.environment.get_template(template).map_err(fail)?;
        let page = template.render(context! {
            nav => Value::from(Serde(&NAV)),
            section => head.section,
            path => head.path.clone(),
            title => head.title.clone(),
            assets_version => assets::VERSION,
            view => Value::from(Serde(view)),
        });
        page.map(Html).map_err(fail)
    }

    /// Assets and the live stream.
    pub fn surface(&self, events: &Events) -> Surface {
        let open = Access::Open("files of the page shell hold nothing of the user's");
        let read = Access::Needs(platform_auth::Permission::Read);
        Routes::new(Dialect::Page)
            .streaming()
            .get("/assets/{name}", open, assets::asset)
            .get("/live", read, live::stream)
            .with_state(events.clone())
    }
}
