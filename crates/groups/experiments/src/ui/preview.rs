//! What the page shows of a file. Nothing of it is ever markup: images are loaded as images, the rest is text.

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use platform_blobs::BlobError;
use serde::Serialize;
use serde_json::Value;

use crate::ExperimentError;

/// What is read of a text.
pub(super) const TEXT_BYTES: usize = 256 * 1024;
/// What is written of it with indents.
const PRETTY_BYTES: usize = 2 * 1024 * 1024;
const TABLE_ROWS: usize = 200;
const TABLE_COLUMNS: usize = 60;

const IMAGES: [(&str, &str); 6] = [
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
    ("svg", "image/svg+xml"),
];

/// Files that may be texts without saying so.
const TEXTS: [&str; 22] = [
    "txt",
    "md",
    "json",
    "yaml",
    "yml",
    "csv",
    "tsv",
    "log",
    "py",
    "toml",
    "ini",
    "cfg",
    "html",
    "xml",
    "sql",
    "sh",
    "js",
    "css",
    "r",
    "mlmodel",
    "requirements",
    "dockerfile",
];

#[derive(Serialize, Default)]
pub(super) struct TableView {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<String>>,
    pub more: bool,
}

#[derive(Serialize)]
#[serde(tag = "kind", content = "value", rename_all = "snake_case")]
pub(super) enum Preview {
    Image,
    Table(TableView),
    Text(String),
    /// Bytes that are no text.
    Nothing,
}

fn extension(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.rsplit('.').next().unwrap_or_default().to_lowercase()
}

/// The type of an image that a page may show; nothing else is handed out under a type of its own.
pub(super) fn image_type(path: &str) -> Option<&'static str> {
    let extension = extension(path);
    IMAGES.iter().find(|(own, _)| *own == extension).map(|(_, kind)| *kind)
}

/// The beginning of a stream, and whether it was all.
pub(super) async fn beginning(
    mut stream: impl Stream<Item = Result<Bytes, BlobError>> + Unpin,
    most: usize,
) -> Result<(Vec<u8>, bool), ExperimentError> {
    let mut bytes = Vec::new();
    while let Some(part) = stream.next().await {
        bytes.extend_from_slice(&part?);
        if bytes.len() > most {
            bytes.truncate(most);
            return Ok((bytes, false));
        }
    }
    Ok((bytes, true))
}

/// The end of a stream.
pub(super) async fn end(
    mut stream: impl Stream<Item = Result<Bytes, BlobError>> + Unpin,
    most: usize,
) -> Result<(Vec<u8>, bool), ExperimentError> {
    let (mut bytes, mut whole) = (Vec::new(), true);
    while let Some(part) = stream.next().await {
        bytes.extend_from_slice(&part?);
        // Cut seldom: moving the rest costs what is kept.
        if bytes.len() > most * 2 {
            bytes.drain(..bytes.len() - most);
            whole = false;
        }
    }
    if bytes.len() > most {
        bytes.drain(..bytes.len() - most);
        whole = false;
    }
    Ok((bytes, whole))
}

/// What to show of a file's first bytes.
pub(super) fn of_bytes(path: &str, bytes: &[u8], whole: bool) -> Preview {
    let extension = extension(path);
    let text = String::from_utf8_lossy(bytes);
    // A cut in the middle of a character is no reason to call a text bytes.
    let is_text = TEXTS.contains(&extension.as_str()) || !bytes.iter().take(8_000).any(|byte| *byte == 0);
    if !is_text || (std::str::from_utf8(bytes).is_err() && whole && !TEXTS.contains(&extension.as_str())) {
        return Preview::Nothing;
    }
    match extension.as_str() {
        "csv" => Preview::Table(separated(&text, ',', whole)),
        "tsv" => Preview::Table(separated(&text, '\t', whole)),
        "json" if whole => match serde_json::from_str::<Value>(&text) {
            Ok(value) => match logged_table(&value) {
                Some(table) => Preview::Table(table),
                None => Preview::Text(pretty(&value).unwrap_or_else(|| text.into_owned())),
            },
            Err(_) => Preview::Text(text.into_owned()),
        },
        _ => Preview::Text(text.into_owned()),
    }
}

/// Indented; `None` when brackets in brackets would make it many times as long.
pub(super) fn pretty(value: &Value) -> Option<String> {
    let mut bounded = Bounded(Vec::new());
    serde_json::to_writer_pretty(&mut bounded, value).ok()?;
    String::from_utf8(bounded.0).ok()
}

/// Takes a page's worth of text.
struct Bounded(Vec<u8>);

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > PRETTY_BYTES {
            return Err(std::io::ErrorKind::WriteZero.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A table as MLflow's `log_table` writes it: `{"columns": […], "data": [[…]]}`.
fn logged_table(value: &Value) -> Option<TableView> {
    let columns = value.get("columns")?.as_array()?;
    let data = value.get("data")?.as_array()?;
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let shown = |row: &[Value]| row.iter().take(TABLE_COLUMNS).map(text).collect();
    let rows = data.iter().take(TABLE_ROWS).map(|row| row.as_array().map(|row| shown(row)));
    Some(TableView {
        columns: shown(columns),
        rows: rows.collect::<Option<Vec<_>>>()?,
        more: data.len() > TABLE_ROWS,
    })
}

/// Separated values, with quotes as RFC 4180 has them; the first line names the columns.
fn separated(text: &str, separator: char, whole: bool) -> TableView {
    let mut rows: Vec<Vec<String>> = Vec::new();
    let (mut row, mut field, mut quoted) = (Vec::new(), String::new(), false);
    let mut characters = text.chars().peekable();
    let mut more = !whole;
    while let Some(c) = characters.next() {
        match c {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                field.push('"');
            }
            '"' if quoted || field.is_empty() => quoted = !quoted,
            c if c == separator && !quoted => row.push(std::mem::take(&mut field)),
            '\r' if !quoted => {}
            '\n' if !quoted => {
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            c => field.push(c),
        }
        if rows.len() > TABLE_ROWS {
            more = more || characters.peek().is_some();
            break;
        }
    }
    if whole && (!field.is_empty() || !row.is_empty()) && rows.len() <= TABLE_ROWS {
        row.push(field);
        rows.push(row);
    }
    rows.iter_mut().for_each(|row| row.truncate(TABLE_COLUMNS));
    let columns = if rows.is_empty() { Vec::new() } else { rows.remove(0) };
    TableView { columns, rows, more }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_keep_separators_and_lines() {
        let table = separated("a,b\r\n\"x, \"\"y\"\"\",\"1\n2\"\n3,4", ',', true);
        assert_eq!(table.columns, ["a", "b"]);
        assert_eq!(table.rows, [vec!["x, \"y\"", "1\n2"], vec!["3", "4"]]);
        assert!(!table.more);
    }

    #[test]
    fn a_logged_table_is_a_table_and_other_json_a_text() {
        let table = of_bytes("t.json", br#"{"columns":["a"],"data":[[1],["x"]]}"#, true);
        assert!(matches!(table, Preview::Table(table) if table.rows == [["1"], ["x"]]));
        assert!(matches!(of_bytes("f.json", br#"{"data":1}"#, true), Preview::Text(_)));
        assert!(matches!(of_bytes("m.pkl", b"\x80\x04\x00", true), Preview::Nothing));
    }

    #[test]
    fn brackets_in_brackets_are_not_blown_up() {
        let deep = format!("{}1{}", "[".repeat(120), "]".repeat(120));
        let wide = format!("[{}]", vec![deep; 1_000].join(","));
        let shown = of_bytes("f.json", wide.as_bytes(), true);
        assert!(matches!(shown, Preview::Text(text) if text == wide));
        assert!(matches!(of_bytes("f.json", b"[1]", true), Preview::Text(text) if text == "[\n  1\n]"));
    }

    #[test]
    fn only_images_have_a_type() {
        assert_eq!(image_type("plots/A.PNG"), Some("image/png"));
        assert_eq!(image_type("page.html"), None);
    }
}
