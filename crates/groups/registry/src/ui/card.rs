//! The model card as one page that stands alone: it is printed, mailed and filed.

use axum::extract::{Path, State};
use axum::response::Html;
use platform_auth::Permission::Read;
use platform_web::dialect::{Dialect, PageResult};
use platform_web::{Access, Routes, Surface};
use serde_json::Value;

use crate::Registry;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;\
background:#fff}h1,h2{line-height:1.2}h2{margin-top:2rem;border-bottom:1px solid #ccc;break-after:avoid}\
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.25rem .75rem .25rem 0;\
border-bottom:1px solid #eee;overflow-wrap:anywhere}th{width:14rem;font-weight:600}tr{break-inside:avoid}\
@media print{body{margin:0;max-width:none;font-size:11px}}";

/// Sections and the words over them, in the order in which a reader asks.
const SECTIONS: [(&str, &str); 10] = [
    ("people", "What it is for"),
    ("signature", "What goes in and what comes out"),
    ("evaluations", "Evaluations"),
    ("gate", "The gate"),
    ("approvals", "Approvals"),
    ("run", "The run that made it"),
    ("environment", "Packages"),
    ("flavors", "Flavors"),
    ("files", "Files and what they would import"),
    ("revisions", "Cards that are kept"),
];

pub(crate) fn card_surface(service: &Registry) -> Surface {
    let path = "/api/v1/models/{model}/versions/{version}/card.html";
    Routes::new(Dialect::Page).get(path, Access::Needs(Read), page).with_state(service.clone())
}

async fn page(
    State(service): State<Registry>,
    Path((model, version)): Path<(String, i64)>,
) -> PageResult<Html<String>> {
    Ok(Html(html(&service.card_of(&model, version).await?)))
}

fn html(card: &Value) -> String {
    let title = format!(
        "{} version {}",
        escaped(card["model"].as_str().unwrap_or_default()),
        escaped(&card["version"].to_string())
    );
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <style>{STYLE}</style></head><body><h1>{title}</h1><table>"
    );
    for key in ["description", "state", "author", "registered", "source", "manifest", "commit"] {
        row(key, &card[key], &mut page);
    }
    page.push_str("</table>");
    for (key, heading) in SECTIONS {
        page.push_str(&format!("<h2>{heading}</h2>"));
        value(&card[key], &mut page);
    }
    page.push_str("</body></html>");
    page
}

fn row(key: &str, content: &Value, page: &mut String) {
    page.push_str(&format!("<tr><th>{}</th><td>", escaped(&key.replace('_', " "))));
    value(content, page);
    page.push_str("</td></tr>");
}

fn value(content: &Value, page: &mut String) {
    match content {
        Value::Null => page.push_str("not recorded"),
        Value::String(text) if text.is_empty() => page.push('–'),
        Value::String(text) => page.push_str(&escaped(text)),
        Value::Bool(yes) => page.push_str(if *yes { "yes" } else { "no" }),
        Value::Number(number) => page.push_str(&number.to_string()),
        Value::Array(items) if items.is_empty() => page.push_str("none"),
        Value::Array(items) => {
            page.push_str("<ul>");
            for item in items {
                page.push_str("<li>");
                value(item, page);
                page.push_str("</li>");
            }
            page.push_str("</ul>");
        }
        Value::Object(fields) if fields.is_empty() => page.push_str("nothing was said"),
        Value::Object(fields) => {
            page.push_str("<table>");
            for (key, content) in fields {
                row(key, content, page);
            }
            page.push_str("</table>");
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_people_wrote_is_shown_and_not_run() {
        let page =
            html(&json!({"model": "<script>", "version": 1, "people": {"owner": "<img onerror='x'>"}}));
        assert!(!page.contains("<script>") && !page.contains("<img"), "{page}");
        assert!(page.contains("&lt;img onerror=&#39;x&#39;&gt;"), "{page}");
        assert!(!page.contains("http"), "a card asks for nothing");
    }
}
