//! [`Frame`]: what every page shows around its content; [`Page`]: a page being put together.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_LANGUAGE};
use axum::http::request::Parts;
use axum::response::{Html, IntoResponse, Redirect, Response};
use serde::{Deserialize, Serialize};
use tera::Context;

use super::App;
use super::error::{Explain, FieldFault, PageError, WordedFault};
use super::lang::Lang;
use super::templates::TemplateError;
use super::visit::{LANG_COOKIE, Visit};
use super::words::Args;
use crate::judging::panel::{self, db::Waiting};
use crate::people::{Actor, Signed};
use crate::store::StoreError;

const FLASH_COOKIE: &str = "shuyu_flash";
/// Set by static/js/theme.js.
pub(super) const THEME_COOKIE: &str = "shuyu_theme";

/// The top bar: address and key of the word.
const NAV: &[(&str, &str)] = &[("/competitions", "nav-competitions")];

#[derive(Serialize)]
struct NavEntry {
    href: &'static str,
    key: &'static str,
    here: bool,
}

/// What every page shows around its content, and the way to make one. A handler takes it as an
/// argument:
///
/// ```ignore
/// async fn show(frame: Frame, State(app): State<App>) -> Result<Response, PageError> {
///     frame.page("data/list.html").with("datasets", &list).render()
/// }
/// ```
pub struct Frame {
    app: App,
    visit: Arc<Visit>,
    signed: Option<Signed>,
    lang: Lang,
    waiting: Waiting,
}

/// The kinds of notice.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Notice {
    /// Done.
    Good,
    /// To know.
    Info,
    /// Not done.
    Bad,
}

/// A notice that the next page shows: the key of a text with its values.
#[derive(Debug, Serialize, Deserialize)]
struct Flash {
    notice: Notice,
    key: String,
    #[serde(default)]
    args: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct ShownFlash {
    notice: Notice,
    text: String,
}

/// What templates know of the person: `me.login`, `me.name`, `me.admin`, `me.desk`, `me.judge`, `me.waits`.
#[derive(Serialize)]
struct Me<'a> {
    id: String,
    login: &'a str,
    name: &'a str,
    admin: bool,
    desk: bool,
    judge: bool,
    /// What waits for them as a judge, and all of it together.
    waiting: Waiting,
    waits: i64,
}

impl FromRequestParts<App> for Frame {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, PageError> {
        let visit = visit(parts)?;
        let signed = visit.signed(app).await?.cloned();
        let lang = visit.lang();
        let waiting = waiting(app, signed.as_ref()).await?;
        Ok(Self { app: app.clone(), visit, signed, lang, waiting })
    }
}

/// What waits for somebody as a judge: asked for those who are on a panel alone.
async fn waiting(app: &App, signed: Option<&Signed>) -> Result<Waiting, StoreError> {
    match signed.filter(|signed| signed.actor.judges_somewhere()) {
        Some(signed) => panel::db::waiting(&mut *app.db.read().await?, signed.actor.user).await,
        None => Ok(Waiting::default()),
    }
}

/// The visit that the outer layer made of the request.
pub(super) fn visit(parts: &Parts) -> Result<Arc<Visit>, PageError> {
    let visit = parts.extensions.get::<Arc<Visit>>().cloned();
    visit.ok_or_else(|| PageError::internal(&"the visit layer is missing around this route"))
}

impl Frame {
    /// For an error page: who is signed in is said when it can be found out.
    pub(super) async fn for_error(app: &App, visit: &Arc<Visit>) -> Self {
        let signed = visit.signed(app).await.ok().flatten().cloned();
        let waiting = waiting(app, signed.as_ref()).await.unwrap_or_default();
        Self { app: app.clone(), visit: Arc::clone(visit), signed, lang: visit.lang(), waiting }
    }

    /// The language of the page.
    pub fn lang(&self) -> Lang {
        self.lang
    }

    /// The same in the language of an account, where no other was chosen on this browser.
    pub fn speaking(self, account: &str) -> Self {
        let chosen = self.visit.cookie(LANG_COOKIE).is_some();
        let lang = Lang::from_tag(account).filter(|_| !chosen).unwrap_or(self.lang);
        Self { lang, ..self }
    }

    /// Who is signed in.
    pub fn actor(&self) -> Option<&Actor> {
        self.signed.as_ref().map(|signed| &signed.actor)
    }

    /// The session and who is signed in.
    pub fn signed(&self) -> Option<&Signed> {
        self.signed.as_ref()
    }

    /// The request.
    pub fn visit(&self) -> &Visit {
        &self.visit
    }

    /// A text in the page's language.
    pub fn say(&self, key: &str, args: &Args) -> String {
        self.app.templates.words().say_or_key(self.lang, key, args)
    }

    /// Faults in the page's language, for a form shown again.
    pub fn faults(&self, faults: &[FieldFault]) -> Vec<WordedFault> {
        let words = self.app.templates.words();
        faults.iter().map(|fault| fault.worded(&words, self.lang)).collect()
    }

    /// Begins a page from a template under `templates/`.
    pub fn page(&self, template: &'static str) -> Page<'_> {
        Page { frame: self, template, context: Context::new(), status: StatusCode::OK }
    }

    /// Has the next page show a notice.
    pub fn flash(&self, notice: Notice, key: &str, args: &[(&str, &str)]) {
        let args = args.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let flash = Flash { notice, key: key.to_owned(), args };
        if let Ok(json) = serde_json::to_string(&flash) {
            let value = percent_encoding::utf8_percent_encode(&json, percent_encoding::NON_ALPHANUMERIC);
            self.visit.set_cookie(&self.app, FLASH_COOKIE, value.to_string(), None);
        }
    }

    /// Goes to a page after a form was taken (303, so that reloading does not send it again). A script that
    /// sent it is told where instead: following, it would use up the notice meant for that page.
    pub fn go(&self, path: &str) -> Response {
        match self.visit.wants_json() {
            true => Json(serde_json::json!({ "location": path })).into_response(),
            false => Redirect::to(path).into_response(),
        }
    }

    /// [`Frame::flash`] with a good notice, then [`Frame::go`].
    pub fn done(&self, path: &str, key: &str) -> Response {
        self.flash(Notice::Good, key, &[]);
        self.go(path)
    }

    /// The notice left by the request before, taken away.
    fn take_flash(&self) -> Option<ShownFlash> {
        let cookie = self.visit.cookie(FLASH_COOKIE)?;
        self.visit.unset_cookie(&self.app, FLASH_COOKIE);
        let json = percent_encoding::percent_decode_str(cookie).decode_utf8().ok()?;
        let flash: Flash = serde_json::from_str(&json).ok()?;
        let args = flash.args.iter().map(|(name, value)| (name.as_str(), value.as_str().into()));
        let text = self.app.templates.words().say(self.lang, &flash.key, args).ok()?;
        Some(ShownFlash { notice: flash.notice, text })
    }

    fn nav(&self) -> Vec<NavEntry> {
        let path = self.visit.path.split('?').next().unwrap_or("");
        let below =
            |href: &str| path.strip_prefix(href).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        NAV.iter().map(|&(href, key)| NavEntry { href, key, here: below(href) }).collect()
    }

    fn base(&self, context: &mut Context) {
        let me = self.actor().map(|actor| Me {
            id: actor.user.to_string(),
            login: &actor.login,
            name: &actor.name,
            admin: actor.may_administer(),
            desk: actor.has_desk(),
            judge: actor.judges_somewhere(),
            waits: self.waiting.invitations + self.waiting.sheets,
            waiting: self.waiting,
        });
        context.insert("me", &me);
        context.insert("lang", self.lang.tag());
        context.insert("theme", &self.visit.cookie(THEME_COOKIE).filter(|t| matches!(*t, "light" | "dark")));
        context.insert("nav", &self.nav());
        context.insert("path", &self.visit.path);
        context.insert("site", &self.app.settings.site);
        context.insert("version", env!("CARGO_PKG_VERSION"));
        context.insert("reference", &self.visit.reference);
        context.insert("flash", &self.take_flash());
        context.insert("now", &self.app.clock.now());
    }
}

/// A page being put together.
pub struct Page<'a> {
    frame: &'a Frame,
    template: &'static str,
    context: Context,
    status: StatusCode,
}

impl Page<'_> {
    /// Gives the template a value.
    #[must_use]
    pub fn with<T: Serialize + ?Sized>(mut self, name: &'static str, value: &T) -> Self {
        self.context.insert(name, value);
        self
    }

    /// The HTTP status, when it is not 200.
    #[must_use]
    pub fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// A form shown again with what was wrong: gives the template `faults` and the status 422.
    #[must_use]
    pub fn faulty(self, faults: &[FieldFault]) -> Self {
        let worded = self.frame.faults(faults);
        self.with("faults", &worded).status(StatusCode::UNPROCESSABLE_ENTITY)
    }

    /// The form shown again when the error is about its fields; otherwise the error's own page.
    ///
    /// # Errors
    /// The error itself when it names no field.
    pub fn refused<E: Explain>(self, error: E) -> Result<Response, PageError> {
        let faults = error.faults();
        if faults.is_empty() { Err(error.into()) } else { self.faulty(&faults).render() }
    }

    pub(super) fn rendered(mut self) -> Result<Response, TemplateError> {
        self.frame.base(&mut self.context);
        let html = self.frame.app.templates.render(self.frame.lang, self.template, &self.context)?;
        let headers = [(CONTENT_LANGUAGE, self.frame.lang.tag()), (CACHE_CONTROL, "private, no-store")];
        Ok((self.status, headers, Html(html)).into_response())
    }

    /// Renders the page.
    ///
    /// # Errors
    /// When the template is missing or asks for a value it was not given.
    pub fn render(self) -> Result<Response, PageError> {
        self.rendered().map_err(|error| PageError::internal(&error))
    }
}
