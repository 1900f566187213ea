//! What of a lab's server a browser may ask for, and what of it is counted as content shown.
//!
//! What passes is JupyterLab's own interface and the contents it shows on the screen. What carries
//! files out in bulk is refused, with the reason: results leave by a release request.

use axum::http::Method;

/// Bytes of a file that the lab may show at once; a larger one is no reading matter.
pub(super) const SHOWN_AT_ONCE: u64 = 8 << 20;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It passes, and what comes back is part of the interface: the same for everybody.
    Interface,
    /// It passes, and what comes back is counted as content shown.
    Content,
    /// It passes as far as [`SHOWN_AT_ONCE`] bytes, counted as content shown.
    Capped,
    /// It is refused: it exports in bulk.
    Export,
    /// It is refused: nobody needs it from a browser.
    Closed,
}

/// Judges a request by its method, its path and its query.
pub(super) fn judge(method: &Method, path: &str, query: &str) -> Verdict {
    // a path that means another one to the server behind it is none of ours
    let plain = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
    if plain.contains("..") || plain.contains('\\') || plain.contains("//") || plain.contains('\0') {
        return Verdict::Closed;
    }
    let parts: Vec<&str> = plain.split('/').filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        // the server may not be stopped or logged in to from here
        ["api", "shutdown", ..] | ["login" | "logout", ..] => Verdict::Closed,
        ["files" | "nbconvert" | "view", ..] | ["api", "nbconvert", ..] => Verdict::Export,
        ["api", "contents", ..] if *method == Method::GET && !asks_for_notebook(query) => Verdict::Capped,
        ["api", ..] | ["lsp", ..] | ["terminals", ..] | ["kernels", ..] => Verdict::Content,
        ["static" | "kernelspecs" | "custom", ..]
        | ["lab", "static" | "extensions" | "api" | "plugins", ..]
        | ["favicon.ico" | "robots.txt"] => Verdict::Interface,
        _ => Verdict::Content,
    }
}

/// Whether a request for contents wants a notebook, which the server inside reads as one: with its pictures
/// it may be large. Whatever else it is asked for as, a file's bytes can be had in some form.
fn asks_for_notebook(query: &str) -> bool {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    // the server takes the last that it is given, however it is written
    let is_type = |name: &str| percent_encoding::percent_decode_str(name).eq(*b"type");
    let mut kinds = pairs.filter(|(name, _)| is_type(name)).map(|(_, kind)| kind).peekable();
    kinds.peek().is_some() && kinds.all(|kind| kind == "notebook")
}

/// Whether a request changes something, as a person has it done.
pub(super) fn changes(method: &Method, path: &str) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) && !is_by_itself(path)
}

/// Whether JupyterLab's page sends this without anybody: it keeps its layout every ten seconds.
pub(super) fn is_by_itself(path: &str) -> bool {
    path.starts_with("/lab/api/workspaces/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lab_works_and_nothing_is_exported_in_bulk() {
        let get = Method::GET;
        for (path, query, verdict) in [
            ("/lab", "", Verdict::Content),
            ("/lab/tree/a.ipynb", "", Verdict::Content),
            ("/static/lab/main.js", "v=1", Verdict::Interface),
            ("/lab/extensions/x/static/remoteEntry.js", "", Verdict::Interface),
            ("/lab/api/translations/zh_CN", "", Verdict::Interface),
            ("/api/kernels", "123", Verdict::Content),
            ("/api/kernels/1/channels", "session_id=2", Verdict::Content),
            ("/api/contents/a.ipynb", "type=notebook&content=1", Verdict::Content),
            ("/api/contents/a.png", "type=file&format=base64&content=1", Verdict::Capped),
            ("/api/contents/a.png", "type=file&format=%62ase64", Verdict::Capped),
            ("/api/contents/a.bin", "type=file", Verdict::Capped),
            ("/api/contents/a.csv", "type=file&format=text", Verdict::Capped),
            ("/api/contents/a.bin", "", Verdict::Capped),
            ("/api/contents/a.bin", "type=notebook&type=file", Verdict::Capped),
            ("/api/contents/a.bin", "type=notebook&%74ype=file", Verdict::Capped),
            ("/files/a.csv", "", Verdict::Export),
            ("/files/a.csv", "download=1", Verdict::Export),
            ("/%66iles/a.csv", "", Verdict::Export),
            ("//files/a.csv", "", Verdict::Closed),
            ("/lab/../files/a.csv", "", Verdict::Closed),
            ("/lab/%2e%2e/files/a.csv", "", Verdict::Closed),
            ("/nbconvert/html/a.ipynb", "download=true", Verdict::Export),
            ("/api/nbconvert", "", Verdict::Export),
            ("/api/shutdown", "", Verdict::Closed),
            ("/login", "", Verdict::Closed),
            ("/", "", Verdict::Content),
        ] {
            assert_eq!(judge(&get, path, query), verdict, "{path}?{query}");
        }
        assert_eq!(judge(&Method::PUT, "/api/contents/a.png", "format=base64"), Verdict::Content);
    }
}
