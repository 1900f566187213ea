//! What a probe is, after reading: requests, what is expected of their answers, and what of one answer goes
//! into the next request.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fill::Template;
use super::latency::LatencyClass;

/// How long an app may take for one answer where the probe says nothing.
pub const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest that a probe can allow.
pub const LONGEST: Duration = Duration::from_secs(120);
/// Bytes of an answer's body where the probe says nothing.
pub const BODY: u64 = 4 << 20;
/// The most that a probe can allow.
pub const LARGEST_BODY: u64 = 32 << 20;
/// Probes of a task together, randomized ones as often as they are drawn.
pub const MOST_PROBES: usize = 2000;
/// Steps of one probe.
pub const MOST_STEPS: usize = 50;

/// Who may see the probes of a file, and what came of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Everybody: an author reads in detail what came of each.
    Public,
    /// Nobody: a run that asks them is closed.
    #[default]
    Hidden,
}

/// The probes of one file.
#[derive(Clone, Debug)]
pub struct Suite {
    /// Who may see them.
    pub visibility: Visibility,
    /// In the order in which they are asked.
    pub probes: Vec<Probe>,
}

/// A text in one language or several, by locale tag; `""` where no language is named.
pub type Texts = BTreeMap<String, String>;

/// One thing that is asked of an app: a request, or a sequence of them. It passes when every answer is as
/// expected.
#[derive(Clone, Debug)]
pub struct Probe {
    /// Unique in the task.
    pub name: String,
    /// What it looks for, for people.
    pub title: Texts,
    /// A word that gathers probes; empty for none.
    pub group: String,
    /// Its share of the weighted score, above 0.
    pub weight: f64,
    /// One or more; what one captures the later ones can use.
    pub steps: Vec<Step>,
    /// How often and with which values it is asked; once and as it stands when absent.
    pub draw: Option<Draw>,
}

impl Probe {
    /// How often it is asked.
    pub fn times(&self) -> usize {
        self.draw.as_ref().map_or(1, Draw::times)
    }
}

/// A request and what is expected of its answer.
#[derive(Clone, Debug)]
pub struct Step {
    /// What is sent.
    pub request: Request,
    /// What has to come back.
    pub expect: Expect,
    /// What of the answer later steps can use, by name.
    pub capture: Vec<(String, Capture)>,
}

/// A request, with placeholders.
#[derive(Clone, Debug)]
pub struct Request {
    /// GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS.
    pub method: String,
    /// Begins with `/`, without a query.
    pub path: Template,
    /// Names and values, percent-encoded when they are sent.
    pub query: Vec<(String, Template)>,
    /// Names and values.
    pub headers: Vec<(String, Template)>,
    /// What it carries.
    pub body: Body,
    /// How long the whole answer may take.
    pub timeout: Duration,
    /// Bytes of an answer's body at most.
    pub largest: u64,
}

/// What a request carries.
#[derive(Clone, Debug)]
pub enum Body {
    /// Nothing.
    None,
    /// Text as it stands.
    Text(Template),
    /// JSON; texts in it may hold placeholders.
    Json(Value),
    /// Fields as HTML forms send them (`application/x-www-form-urlencoded`).
    Form(Vec<(String, Template)>),
    /// Fields and files (`multipart/form-data`, RFC 7578).
    Upload {
        /// The fields.
        fields: Vec<(String, Template)>,
        /// The files.
        files: Vec<Upload>,
    },
}

/// A file that is uploaded.
#[derive(Clone, Debug)]
pub struct Upload {
    /// The field's name.
    pub field: String,
    /// The file's name as the app sees it.
    pub name: String,
    /// Its media type.
    pub media_type: String,
    /// Its bytes.
    pub content: Arc<[u8]>,
}

/// What is expected of an answer; all of it has to hold.
#[derive(Clone, Debug, Default)]
pub struct Expect {
    /// Status codes, inclusive ranges; any status when empty.
    pub status: Vec<(u16, u16)>,
    /// Tests of headers, by lower-case name.
    pub headers: Vec<(String, TextTest)>,
    /// Tests of the body read as JSON.
    pub json: Vec<JsonTest>,
    /// A JSON Schema that the body has to satisfy.
    pub schema: Option<Arc<jsonschema::Validator>>,
    /// Tests of the body read as text.
    pub body: Vec<TextTest>,
    /// The digest of the body's bytes.
    pub digest: Option<Digest>,
    /// The slowest class that will do.
    pub within: Option<LatencyClass>,
}

impl Expect {
    /// Whether nothing is expected at all.
    pub fn is_empty(&self) -> bool {
        self.status.is_empty()
            && self.headers.is_empty()
            && self.json.is_empty()
            && self.schema.is_none()
            && self.body.is_empty()
            && self.digest.is_none()
            && self.within.is_none()
    }
}

/// A test of a text.
#[derive(Clone, Debug)]
pub enum TextTest {
    /// It is this.
    Equals(Template),
    /// This is in it.
    Contains(Template),
    /// The pattern occurs in it.
    Matches(regex::Regex),
    /// There is no such header, or the text is not in the body.
    Lacks(Template),
    /// There is such a header (`true`) or there is not.
    Present(bool),
}

/// Tests of what a JSONPath selects. One value selected stands for itself, any other number for the list of
/// them.
#[derive(Clone, Debug)]
pub struct JsonTest {
    /// The path, RFC 9535.
    pub path: Template,
    /// What has to hold of it.
    pub rules: Vec<JsonRule>,
}

/// What has to hold of a JSON value.
#[derive(Clone, Debug)]
pub enum JsonRule {
    /// It equals this, numbers within the tolerance, at any depth.
    Equals {
        /// With placeholders.
        value: Value,
        /// How far numbers may be off.
        tolerance: Tolerance,
    },
    /// A number of at least this: a number, or a text with placeholders that says one.
    Min(Value),
    /// A number of at most this, likewise.
    Max(Value),
    /// An array, object or text of this length, likewise.
    Length(Value),
    /// Of this type: null, boolean, number, integer, string, array or object.
    Type(String),
    /// A text in which the pattern occurs.
    Matches(regex::Regex),
    /// An array with this value in it, or a text with this text in it.
    Contains(Value),
    /// The path selects something (`true`) or nothing.
    Exists(bool),
}

/// How far a number may be off: within either of the two.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tolerance {
    /// At most this, in the value's own unit.
    pub absolute: f64,
    /// At most this share of the expected value.
    pub relative: f64,
}

/// A digest of bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Digest {
    /// SM3 (GB/T 32905), 64 hexadecimal digits.
    Sm3(Template),
    /// SHA-256, likewise.
    Sha256(Template),
}

/// Where a captured value comes from.
#[derive(Clone, Debug)]
pub enum Capture {
    /// What the JSONPath selects in the body, exactly one value.
    Json(Template),
    /// A header's value, by lower-case name.
    Header(String),
    /// The first group of the pattern, or all of it where it has none, at its first place in the body.
    Pattern(regex::Regex),
}

/// A randomized probe: asked once for each set of values that is drawn.
#[derive(Clone, Debug)]
pub struct Draw {
    /// Where the generator begins.
    pub seed: i64,
    /// Whether each submission gets values of its own (the same at every rescore).
    pub each_submission: bool,
    /// How many sets are drawn.
    pub times: usize,
    /// Rows of a table, drawn without repetition: questions with their reference answers.
    pub table: Option<Table>,
    /// Values made up by name.
    pub values: Vec<(String, Values)>,
}

impl Draw {
    /// How many sets of values it gives: a table's rows come once each.
    pub fn times(&self) -> usize {
        self.table.as_ref().map_or(self.times, |table| self.times.min(table.rows.len()))
    }
}

/// Rows of values by name.
#[derive(Clone, Debug)]
pub struct Table {
    /// The columns' names.
    pub columns: Vec<String>,
    /// The rows, as written.
    pub rows: Arc<Vec<Vec<String>>>,
}

/// What values a name can be given.
#[derive(Clone, Debug)]
pub enum Values {
    /// One of these.
    OneOf(Vec<Value>),
    /// A whole number from the first to the last.
    Whole(i64, i64),
}
