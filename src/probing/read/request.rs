//! Reads requests.

use super::{
    Body, Json, LONGEST, Node, Place, Reader, Request, Section, Template, Value, in_json, scalar_text,
    wrong_kind,
};
use crate::probing::ask::BOUNDARY;
use crate::probing::fill::names_in_json;
use crate::probing::suite::Upload;

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
/// Headers that the service sets itself, or that would change how an answer is read.
const OWN: [&str; 6] = ["host", "content-length", "transfer-encoding", "connection", "upgrade", "te"];

impl Reader<'_> {
    /// The request of a step: a mapping, or short `GET /path`.
    pub(super) fn request(&mut self, step: &mut Section<'_>) -> Option<Request> {
        let (node, at) = (step.get("request")?, step.at("request"));
        if let Some(text) = scalar_text(node) {
            let (method, path) = text.split_once(' ').unwrap_or(("GET", &text));
            return self.assembled(method, path.trim(), &at);
        }
        let mut section = Section::of(node, at, &mut self.findings)?;
        let method = section.text("method", &mut self.findings).unwrap_or_else(|| "GET".to_owned());
        let path = section.required_text("path", &mut self.findings);
        let mut request = self.assembled(&method, &path, &section.at("path"))?;
        request.query = self.templates(&mut section, "query");
        let own = self.templates(&mut section, "headers");
        let at = section.at("headers");
        for (name, value) in &own {
            if value.fixed().is_some_and(|text| hyper::header::HeaderValue::from_str(text).is_err()) {
                let problem = format!("the value of `{name}` holds what no header can");
                self.findings.error(
                    "probe-header",
                    &at,
                    problem,
                    "write it on one line, without control characters",
                );
            }
            let lower = name.to_ascii_lowercase();
            if OWN.contains(&lower.as_str()) || hyper::header::HeaderName::try_from(lower.as_str()).is_err() {
                let problem = format!("`{name}` is not a header that a probe can send");
                self.findings.error(
                    "probe-header",
                    &at,
                    problem,
                    "leave it out; it is set by itself where it is needed",
                );
            }
        }
        request.headers.retain(|(name, _)| !own.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)));
        request.headers.extend(own);
        request.body = self.body(&mut section);
        request.timeout = self.span(&mut section, "timeout").unwrap_or(self.timeout);
        request.largest = self.largest(&mut section).unwrap_or(self.largest);
        section.finish(&mut self.findings);
        Some(request)
    }

    fn assembled(&mut self, method: &str, path: &str, at: &Place) -> Option<Request> {
        if !METHODS.contains(&method) {
            let problem = format!("`{method}` is no method of HTTP that can be asked");
            self.findings.error("probe-method", at, problem, format!("write one of: {}", METHODS.join(", ")));
        }
        // one that begins with a captured value is looked at when that is known
        if !(path.starts_with('/') || path.starts_with("{{"))
            || path.starts_with("//")
            || path.contains(['?', '#', '\\'])
            || path.chars().any(char::is_control)
        {
            let problem = format!("`{path}` is not a path on the app");
            let mend = "begin with one `/`, and put what follows a `?` under `query`";
            self.findings.error("probe-path", at, problem, mend);
            return None;
        }
        let path = self.template(path, at)?;
        debug_assert!(self.timeout <= LONGEST);
        Some(Request {
            method: method.to_owned(),
            path,
            query: Vec::new(),
            headers: self.headers.clone(),
            body: Body::None,
            timeout: self.timeout,
            largest: self.largest,
        })
    }

    fn body(&mut self, section: &mut Section<'_>) -> Body {
        let given: Vec<&'static str> =
            ["body", "json", "form", "upload"].into_iter().filter(|key| section.has(key)).collect();
        if let [first, second, ..] = given[..] {
            let problem = format!("a request carries one body, and here are `{first}` and `{second}`");
            self.findings.error("probe-body-twice", &section.at(second), problem, "keep one of them");
        }
        match given.first() {
            Some(&"body") => {
                let text = section.text("body", &mut self.findings).unwrap_or_default();
                self.template(&text, &section.at("body")).map_or(Body::None, Body::Text)
            }
            Some(&"json") => {
                let value = section.get("json").map_or(Json::Null, |node| node.value.to_json());
                self.check_json(&value, &section.at("json"));
                Body::Json(value)
            }
            Some(&"form") => Body::Form(self.templates(section, "form")),
            Some(_) => {
                section.section("upload", &mut self.findings).map_or(Body::None, |upload| self.upload(upload))
            }
            None => Body::None,
        }
    }

    /// Placeholders in the texts of a value are well formed.
    pub(super) fn check_json(&mut self, value: &Json, at: &Place) {
        if let Err(error) = names_in_json(value, &mut |_| {}) {
            self.malformed(&error, at);
        }
        in_json(value, &mut |_| {});
    }

    fn upload(&mut self, mut section: Section<'_>) -> Body {
        let fields: Vec<(String, Template)> = self.templates(&mut section, "fields");
        let mut files = Vec::new();
        for (place, node) in section.list("files", &mut self.findings) {
            files.extend(self.uploaded(node, place));
        }
        section.finish(&mut self.findings);
        Body::Upload { fields, files }
    }

    fn uploaded(&mut self, node: &Node, place: Place) -> Option<Upload> {
        if !matches!(node.value, Value::Map(_)) {
            wrong_kind(&place, &node.value, "a mapping with `field` and `file`", &mut self.findings);
            return None;
        }
        let mut file = Section::of(node, place, &mut self.findings)?;
        let field = file.required_text("field", &mut self.findings);
        let path = file.required_text("file", &mut self.findings);
        let at = file.at("file");
        let base = path.rsplit('/').next().unwrap_or(&path).to_owned();
        let name = file.text("name", &mut self.findings).unwrap_or(base);
        let media_type =
            file.text("type", &mut self.findings).unwrap_or_else(|| "application/octet-stream".to_owned());
        if media_type.chars().any(char::is_control) {
            let problem = "the type holds a control character";
            self.findings.error(
                "probe-upload",
                &file.at("type"),
                problem,
                "write a media type such as text/csv",
            );
        }
        file.finish(&mut self.findings);
        let content = self.attachment(&path, &at)?;
        if content.windows(BOUNDARY.len()).any(|window| window == BOUNDARY.as_bytes()) {
            let problem = format!("`{path}` holds the words that separate the parts of an upload");
            self.findings.error("probe-upload", &at, problem, "use another file");
        }
        Some(Upload { field, name, media_type, content })
    }
}
