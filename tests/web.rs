//! The pages and the frame around them, over HTTP against the real router.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "only tests call this")]

mod support;

use support::{PASSWORD, TestApp};

const HOUR: i64 = 3_600_000;

#[tokio::test]
async fn a_visitor_registers_logs_out_and_in_again() {
    let app = TestApp::start().await;
    let alice = app.visitor();
    let form = [
        ("login", "Alice"),
        ("name", "爱丽丝"),
        ("email", "alice@example.cn"),
        ("password", PASSWORD),
        ("organisation", "市数据局"),
    ];
    alice.post("/register?next=/account", &form).await.see_other("/account");
    alice.get("/account").await.ok().has("注册成功").has("alice@example.cn").has("待核实");
    alice.get("/account").await.ok().lacks("注册成功");
    alice.post("/logout", &[]).await.see_other("/");
    alice.get("/account").await.see_other("/login?next=%2Faccount");
    alice
        .post("/login", &[("login", "alice"), ("password", PASSWORD), ("next", "/account")])
        .await
        .see_other("/account");
}

#[tokio::test]
async fn a_form_says_what_is_wrong_with_each_field_and_keeps_what_was_filled_in() {
    let app = TestApp::start().await;
    app.user("alice").await;
    let form = [("login", "alice"), ("name", "<b>Eve</b>"), ("email", "nowhere"), ("password", "short")];
    let page = app.visitor().post("/register", &form).await.is(422);
    page.has("邮箱格式不对")
        .has("密码至少 10 个字符")
        .has("aria-invalid")
        .has("&lt;b&gt;Eve")
        .lacks("<b>Eve")
        .lacks("value=\"short\"");
    let form = [("login", "alice"), ("name", "Eve"), ("email", "e@example.cn"), ("password", PASSWORD)];
    app.visitor().post("/register", &form).await.is(422).has("该用户名已被使用");
}

#[tokio::test]
async fn after_five_failures_even_the_right_password_waits_for_known_and_unknown_logins_alike() {
    let app = TestApp::start().await;
    app.user("alice").await;
    let browser = app.visitor();
    for login in ["alice", "nobody"] {
        for _ in 0..5 {
            browser.log_in(login, "wrong password").await.is(401).has("用户名或密码不正确");
        }
        let locked = browser.log_in(login, PASSWORD).await.is(429).has("登录已暂时锁定");
        assert_eq!(locked.header("retry-after"), "30");
    }
    app.clock.shift(31_000);
    browser.log_in("alice", "wrong password").await.is(401);
    assert_eq!(browser.log_in("alice", PASSWORD).await.is(429).header("retry-after"), "60");
    app.clock.shift(61_000);
    browser.log_in("alice", PASSWORD).await.see_other("/");
}

#[tokio::test]
async fn the_next_page_after_a_login_is_never_another_host() {
    let app = TestApp::start().await;
    app.user("alice").await;
    for next in ["https://evil.example/", "//evil.example/", "/\\evil.example"] {
        let form = [("login", "alice"), ("password", PASSWORD), ("next", next)];
        app.visitor().post("/login", &form).await.see_other("/");
    }
}

#[tokio::test]
async fn forms_from_other_sites_are_refused_and_change_nothing() {
    let app = TestApp::start().await;
    let alice = app.user("alice").await;
    let form = [("name", "Mallory"), ("email", "m@example.cn")];
    let cross = [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")];
    alice.post_with("/account", &form, &cross).await.is(403).has("请求来自其他网站");
    alice.post_with("/account", &form, &[("origin", "https://evil.example")]).await.is(403);
    alice.post_with("/account", &form, &[("sec-fetch-site", "same-site")]).await.is(403);
    alice.get("/account").await.ok().lacks("Mallory");
    alice.post("/account", &form).await.see_other("/account");
    alice.get("/account").await.ok().has("Mallory");
}

#[tokio::test]
async fn the_session_secret_changes_every_hour_and_the_old_one_lives_a_minute_longer() {
    let app = TestApp::start().await;
    let alice = app.user("alice").await;
    let old = alice.copy();
    let before = alice.jar.lock().unwrap()["shuyu_session"].clone();
    app.clock.shift(HOUR + 1000);
    alice.get("/account").await.ok();
    let after = alice.jar.lock().unwrap()["shuyu_session"].clone();
    assert_ne!(before, after);
    // A request in parallel still carries the old secret, and is given no third one.
    let answer = old.get("/account").await.ok();
    assert_eq!(answer.header("set-cookie"), "");
    app.clock.shift(61_000);
    old.get("/account").await.see_other("/login?next=%2Faccount");
    alice.get("/account").await.ok();
}

#[tokio::test]
async fn sessions_end_when_idle_and_at_their_limit() {
    let app = TestApp::start().await;
    let alice = app.user("alice").await;
    for _ in 0..15 {
        app.clock.shift(23 * HOUR);
        let answer = alice.get("/account").await;
        if answer.status == 303 {
            break;
        }
    }
    alice.get("/account").await.see_other("/login?next=%2Faccount");
    let bob = app.user("bob").await;
    app.clock.shift(25 * HOUR);
    bob.get("/account").await.is(303);
}

#[tokio::test]
async fn sessions_are_listed_and_ended_one_by_one_or_all_others() {
    let app = TestApp::start().await;
    let alice = app.user("alice").await;
    let (phone, tablet) = (app.visitor(), app.visitor());
    for browser in [&phone, &tablet] {
        browser.log_in("alice", PASSWORD).await.see_other("/");
    }
    let page = alice.get("/account/security").await.ok().has("本次登录");
    let at = page.body.find("/account/security/sessions/").unwrap();
    let path = page.body[at..].split('"').next().unwrap();
    alice.post(path, &[]).await.see_other("/account/security");
    let alive = [phone.get("/account").await.status, tablet.get("/account").await.status];
    assert_eq!(alive.iter().filter(|status| status.as_u16() == 200).count(), 1, "{alive:?}");
    alice.post("/account/security/sessions/end", &[]).await.see_other("/account/security");
    phone.get("/account").await.is(303);
    tablet.get("/account").await.is(303);
    alice.get("/account").await.ok();
}

#[tokio::test]
async fn a_session_of_somebody_else_cannot_be_ended() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.user("alice").await, app.user("bob").await);
    let id = {
        let actor = shuyu_actor(&app, &bob).await;
        app.app.people.sessions(&actor).await.unwrap()[0].id
    };
    alice.post(&format!("/account/security/sessions/{id}/end"), &[]).await.is(303);
    bob.get("/account").await.ok();
}

async fn shuyu_actor(app: &TestApp, browser: &support::Browser) -> shuyu::people::Actor {
    let secret = browser.jar.lock().unwrap()["shuyu_session"].clone();
    let visitor = shuyu::people::Visitor::default();
    app.app.people.signed_in(&secret, &visitor).await.unwrap().unwrap().actor
}

#[tokio::test]
async fn a_changed_password_ends_the_other_sessions() {
    let app = TestApp::start().await;
    let alice = app.user("alice").await;
    let phone = app.visitor();
    phone.log_in("alice", PASSWORD).await.see_other("/");
    let change = |old| [("old", old), ("password", "entirely different words")];
    alice
        .post("/account/security/password", &change("not the old one"))
        .await
        .is(422)
        .has("现在的密码不正确");
    phone.get("/account").await.ok();
    alice.post("/account/security/password", &change(PASSWORD)).await.see_other("/account/security");
    phone.get("/account").await.is(303);
    alice.get("/account").await.ok();
    app.visitor().log_in("alice", PASSWORD).await.is(401);
    app.visitor().log_in("alice", "entirely different words").await.see_other("/");
}

#[tokio::test]
async fn an_administrators_link_sets_a_password_once() {
    let app = TestApp::start().await;
    let (admin, alice) = (app.admin("root").await, app.user("alice").await);
    let page = admin.post("/admin/users/alice/reset-link", &[]).await.ok();
    let at = page.body.find("/reset/").unwrap();
    let path = &page.body[at..at + "/reset/".len() + 64];
    let visitor = app.visitor();
    visitor.get(path).await.ok().has("alice");
    visitor.post(path, &[("password", "short")]).await.is(422);
    visitor.post(path, &[("password", "entirely different words")]).await.see_other("/login");
    visitor.post(path, &[("password", "entirely other words")]).await.is(410);
    visitor.get(path).await.is(410).has("链接已失效");
    alice.get("/account").await.is(303);
    visitor.log_in("alice", "entirely different words").await.see_other("/");

    let page = admin.post("/admin/users/alice/reset-link", &[]).await.ok();
    let at = page.body.find("/reset/").unwrap();
    let path = page.body[at..at + "/reset/".len() + 64].to_owned();
    app.clock.shift(25 * HOUR);
    visitor.get(&path).await.is(410);
}

#[tokio::test]
async fn only_administrators_see_users_and_the_last_one_stays() {
    let app = TestApp::start().await;
    let (root, alice) = (app.admin("root").await, app.user("alice").await);
    for path in ["/admin/users", "/admin/users/alice", "/admin/organisations", "/admin/status", "/styleguide"]
    {
        alice.get(path).await.is(403).has("没有权限");
        app.visitor().get(path).await.is(303);
        root.get(path).await.ok();
    }
    alice.post("/admin/users/alice/roles", &[("administrator", "yes")]).await.is(403);
    root.get("/admin/users?q=ali").await.ok().has("alice").lacks("/admin/users/root");
    root.get("/admin/users?q=%25").await.ok().lacks("/admin/users/alice");
    root.get("/admin/users?role=administrator")
        .await
        .ok()
        .has("/admin/users/root")
        .lacks("/admin/users/alice");
    root.post("/admin/users/root/disable", &[]).await.is(409).has("最后一名");
    root.post("/admin/users/root/roles", &[]).await.is(409);
    root.post("/admin/users/alice/roles", &[("administrator", "yes"), ("judge", "yes")]).await.is(303);
    alice.get("/admin/users").await.ok();
    root.post("/admin/users/alice/disable", &[]).await.see_other("/admin/users/alice");
    root.get("/admin/users/alice").await.ok().has("已停用 alice");
    alice.get("/account").await.is(303);
    app.visitor().log_in("alice", PASSWORD).await.is(401);
    root.post("/admin/users/alice/enable", &[]).await.is(303);
    app.visitor().log_in("alice", PASSWORD).await.see_other("/");
}

#[tokio::test]
async fn an_organisation_is_named_by_its_people_and_verified_by_an_administrator() {
    let app = TestApp::start().await;
    let (root, alice) = (app.admin("root").await, app.user("alice").await);
    let form =
        [("name", "Alice"), ("email", "a@example.cn"), ("organisation", "市数据局"), ("locale", "zh-CN")];
    alice.post("/account", &form).await.see_other("/account");
    let page = root.get("/admin/organisations").await.ok().has("市数据局").has("待核实");
    let at = page.body.find("/admin/organisations/0").unwrap();
    let path = page.body[at..].split('"').next().unwrap().to_owned();
    alice.post(&path, &[]).await.is(403);
    root.post(&path, &[]).await.see_other("/admin/organisations");
    alice.get("/account").await.ok().has("已核实");
    // saving the profile again keeps it
    alice.post("/account", &form).await.see_other("/account");
    alice.get("/account").await.ok().has("已核实");
}

#[tokio::test]
async fn naming_a_verified_organisation_does_not_make_one_a_member() {
    let app = TestApp::start().await;
    let (root, alice, bob) = (app.admin("root").await, app.user("alice").await, app.user("bob").await);
    let form = [("name", "A"), ("email", "a@example.cn"), ("organisation", "市数据局"), ("locale", "zh-CN")];
    alice.post("/account", &form).await.see_other("/account");
    let page = root.get("/admin/organisations").await.ok();
    let at = page.body.find("/admin/organisations/0").unwrap();
    let path = page.body[at..].split('"').next().unwrap().to_owned();
    root.post(&path, &[]).await.see_other("/admin/organisations");
    bob.post("/account", &form).await.see_other("/account");
    let profile = bob.get("/account").await.ok().has("市数据局（自报）");
    assert!(!profile.body.contains("已核实"), "{profile:#?}");
    let carol = [
        ("login", "carol"),
        ("name", "Carol"),
        ("email", "carol@example.cn"),
        ("organisation", "市数据局"),
        ("password", support::PASSWORD),
    ];
    app.visitor().post("/register", &carol).await.is(303);
    root.get("/admin/users/carol").await.ok().has("市数据局（自报）");
    // an administrator says who belongs to it
    let path = "/admin/users/carol/organisation";
    bob.post(path, &[("organisation", "市数据局")]).await.is(403);
    root.post(path, &[("organisation", "市数据局")]).await.see_other("/admin/users/carol");
    assert!(!root.get("/admin/users/carol").await.ok().body.contains("（自报）"));
}

#[tokio::test]
async fn a_new_password_revokes_the_tokens() {
    let app = TestApp::start().await;
    let alice = app.user("alice").await;
    let before = alice.program(&alice.token("submit").await);
    before.get("/api/v1/me").await.ok();
    let new = "quiet lemon bicycle";
    alice.post("/account/security/password", &[("old", support::PASSWORD), ("password", new)]).await.is(303);
    before.get("/api/v1/me").await.is(401);
    let between = alice.program(&alice.token("submit").await);
    between.get("/api/v1/me").await.ok();
    let user = app.app.people.user_named(shuyu::people::By::Machine, "alice").await.unwrap();
    let secret = app.app.people.make_reset(shuyu::people::By::Machine, user.id).await.unwrap();
    app.visitor().post(&format!("/reset/{secret}"), &[("password", "slow copper lantern")]).await.is(303);
    between.get("/api/v1/me").await.is(401);
}

#[tokio::test]
async fn tokens_carry_their_scope_and_end() {
    let app = TestApp::start().await;
    let root = app.admin("root").await;
    let token = root.token("submit").await;
    root.get("/account/tokens").await.ok().lacks(&token);
    let program = root.program(&token);
    let me = program.get("/api/v1/me").await.ok().json();
    assert_eq!((&me["login"], &me["scope"]), (&"root".into(), &"submit".into()));
    // The token is no session: pages do not know it, and the session is no token.
    program.get("/account").await.is(303);
    let refused = root.get("/api/v1/me").await.is(401);
    assert!(refused.header("www-authenticate").starts_with("Bearer"));
    app.clock.shift(8 * 24 * HOUR);
    program.get("/api/v1/me").await.is(401);
}

#[tokio::test]
async fn a_revoked_token_is_refused() {
    let app = TestApp::start().await;
    let alice = app.user("alice").await;
    let program = alice.program(&alice.token("read").await);
    program.get("/api/v1/me").await.ok();
    let page = alice.get("/account/tokens").await.ok();
    let at = page.body.find("/account/tokens/0").unwrap();
    let path = page.body[at..].split('"').next().unwrap();
    alice.post(path, &[]).await.see_other("/account/tokens");
    program.get("/api/v1/me").await.is(401);
    let form = [("name", ""), ("scope", "read"), ("days", "400")];
    alice.post("/account/tokens", &form).await.is(422).has("1 至 365");
}

#[tokio::test]
async fn errors_of_the_api_are_problem_documents() {
    let app = TestApp::start().await;
    let answer = app.visitor().get_with("/api/v1/me", &[("accept-language", "en")]).await.is(401);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let problem = answer.json();
    assert_eq!(problem["type"], "urn:shuyu:problem:token-needed");
    assert_eq!(problem["status"], 401);
    assert_eq!(problem["title"], "A valid token is needed");
    assert_eq!(problem["instance"], format!("urn:shuyu:request:{}", answer.header("x-request-id")));
    let missing = app.visitor().get("/api/v1/nothing").await.is(404);
    assert_eq!(missing.json()["code"], "not-found");
    let wrong = app.visitor().post("/api/v1/me", &[]).await.is(405);
    assert_eq!(
        (wrong.json()["code"].as_str(), wrong.header("allow")),
        (Some("method-not-allowed"), "GET,HEAD")
    );
    let description = app.visitor().get("/api/openapi.json").await.ok().json();
    assert_eq!(description["openapi"], "3.1.0");
    assert!(description["paths"]["/api/v1/me"]["get"].is_object());
}

#[tokio::test]
async fn error_pages_say_what_why_and_what_to_do_with_a_reference() {
    let app = TestApp::start().await;
    let page = app.visitor().get("/no/such/page").await.is(404);
    let reference = page.header("x-request-id").to_owned();
    page.has("找不到页面").has("地址有误").has("请检查地址").has(&reference);
    app.visitor().post("/styleguide", &[]).await.is(405).has("不支持该操作");
    app.visitor().post("/login", &[("login", "a")]).await.is(422).has("请求无法识别");
    let large = "a".repeat(2 << 20);
    app.visitor().post("/login", &[("login", &large), ("password", "b")]).await.is(413).has("内容过大");
    app.user("alice").await.post("/account/tokens/not-an-id/revoke", &[]).await.is(400).has("请求无法识别");
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let app = TestApp::start().await;
    let login = app.user("alice").await.get("/account").await.ok();
    let css =
        login.body.split("href=\"").find(|part| part.contains("app.css")).unwrap().split('"').next().unwrap();
    for path in ["/", "/no/such/page", "/api/v1/me", "/healthz", css] {
        let answer = app.visitor().get(path).await;
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'"), "{path}");
        assert!(!policy.contains("unsafe"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "same-origin", "{path}");
        assert_eq!(answer.header("strict-transport-security"), "", "{path}: not over http");
    }
    assert_eq!(login.header("cache-control"), "private, no-store");
}

#[tokio::test]
async fn over_tls_cookies_are_bound_to_the_host() {
    let app = TestApp::start_with(|settings| settings.public_url = "https://shuyu.example".into()).await;
    let form = [("login", "alice"), ("name", "A"), ("email", "a@example.cn"), ("password", PASSWORD)];
    let origin = [("origin", "https://shuyu.example")];
    let answer = app.visitor().post_with("/register", &form, &origin).await.is(303);
    let cookie = answer
        .headers
        .get_all("set-cookie")
        .iter()
        .find_map(|c| c.to_str().ok().filter(|c| c.starts_with("__Host-")));
    let cookie = cookie.unwrap();
    for part in ["HttpOnly", "Secure", "SameSite=Lax", "Path=/"] {
        assert!(cookie.contains(part), "{part} in {cookie}");
    }
    // as long as the session itself, no longer
    let age = cookie.split("Max-Age=").nth(1).unwrap().split(';').next().unwrap();
    let days = age.parse::<i64>().unwrap() / 86_400;
    assert!((1..=90).contains(&days), "{cookie}");
    assert_eq!(answer.header("strict-transport-security"), "max-age=31536000");
}

#[tokio::test]
async fn no_page_has_inline_script_or_style() {
    let app = TestApp::start().await;
    let root = app.admin("root").await;
    for path in [
        "/",
        "/account",
        "/account/security",
        "/account/tokens",
        "/admin/users",
        "/admin/users/root",
        "/admin/organisations",
        "/admin/status",
        "/styleguide",
        "/no/such/page",
    ] {
        let page = root.get(path).await;
        let page =
            page.lacks("<style").lacks(" style=").lacks("javascript:").lacks(" onclick=").lacks(" onload=");
        for script in page.body.split("<script").skip(1) {
            assert!(script.starts_with(" type=\"module\" src=\"/static/"), "{path}: {script:.60}");
        }
        assert!(page.body.len() < 150_000, "{path}: {} bytes", page.body.len());
    }
}

#[tokio::test]
async fn names_with_html_and_terminal_codes_are_escaped_wherever_they_are_shown() {
    let app = TestApp::start().await;
    let (root, alice) = (app.admin("root").await, app.user("alice").await);
    let name = "<img src=x onerror=alert(1)>\"'";
    let form = [
        ("name", name),
        ("email", "a@example.cn"),
        ("organisation", "<script>alert(2)</script>"),
        ("locale", "en"),
    ];
    alice.post("/account", &form).await.see_other("/account");
    for page in [
        alice.get("/account").await,
        root.get("/admin/users").await,
        root.get("/admin/users/alice").await,
        root.get("/admin/organisations").await,
    ] {
        page.ok().lacks("<img src=x").lacks("<script>alert").has("&lt;");
    }
    let form = [("name", "a\u{1b}[31mred"), ("email", "a@example.cn")];
    alice.post("/account", &form).await.is(422);
    // A forged notice can only name texts of ours, and its values are escaped.
    let flash = "%7B%22notice%22%3A%22good%22%2C%22key%22%3A%22flash-user-disabled%22%2C%22args%22%3A%7B%22login%22%3A%22%3Cscript%3E%22%7D%7D";
    alice.jar.lock().unwrap().insert("shuyu_flash".into(), flash.into());
    alice.get("/account").await.ok().lacks("<script>").has("&lt;script&gt;");
}

#[tokio::test]
async fn the_language_is_the_choice_of_the_browser_then_the_account_then_the_request() {
    let app = TestApp::start().await;
    let visitor = app.visitor();
    visitor.get("/").await.ok().has("lang=\"zh-CN\"");
    visitor.get_with("/", &[("accept-language", "en-GB, zh;q=0.5")]).await.ok().has("<html lang=\"en\"");
    let alice = app.user("alice").await;
    alice.get_with("/", &[("accept-language", "en")]).await.ok().has("<html lang=\"zh-CN\"");
    alice.post("/language", &[("lang", "en"), ("next", "/account")]).await.see_other("/account");
    let page = alice.get("/account").await.ok().has("<html lang=\"en\"").has("Profile");
    assert_eq!(page.header("content-language"), "en");
}

#[tokio::test]
async fn every_page_renders_in_both_languages() {
    let app = TestApp::start().await;
    let root = app.admin("root").await;
    for lang in ["zh-CN", "en"] {
        root.post("/language", &[("lang", lang)]).await.see_other("/");
        for path in [
            "/",
            "/account",
            "/account/security",
            "/account/tokens",
            "/admin/users",
            "/admin/users/root",
            "/admin/organisations",
            "/admin/status",
            "/styleguide",
        ] {
            root.get(path).await.ok().has(&format!("<html lang=\"{lang}\""));
        }
        let visitor = app.visitor();
        visitor.post("/language", &[("lang", lang)]).await.see_other("/");
        for path in ["/", "/login", "/register"] {
            visitor.get(path).await.ok().has(&format!("<html lang=\"{lang}\""));
        }
    }
}

#[tokio::test]
async fn logins_are_limited_by_address_and_recover() {
    let app = TestApp::start_with(|settings| settings.limits.login = 3).await;
    for _ in 0..3 {
        app.visitor().log_in("nobody", "x").await.is(401);
    }
    let refused = app.visitor().log_in("nobody", "x").await.is(429).has("操作过于频繁");
    assert_ne!(refused.header("retry-after"), "");
    app.clock.shift(60_000);
    app.visitor().log_in("nobody", "x").await.is(401);
}

#[tokio::test]
async fn the_api_is_limited_by_token() {
    let app = TestApp::start_with(|settings| settings.limits.api = 2).await;
    let (alice, bob) = (app.user("alice").await, app.user("bob").await);
    let (alice, bob) = (alice.program(&alice.token("read").await), bob.program(&bob.token("read").await));
    alice.get("/api/v1/me").await.ok();
    alice.get("/api/v1/me").await.ok();
    assert_eq!(alice.get("/api/v1/me").await.is(429).json()["code"], "too-many-requests");
    bob.get("/api/v1/me").await.ok();
}

#[tokio::test]
async fn probes_and_metrics_answer() {
    let app = TestApp::start().await;
    app.visitor().get("/healthz").await.ok().has("ok");
    let ready = app.visitor().get("/readyz").await.ok().json();
    assert_eq!(ready["ready"], true);
    assert_eq!(ready["checks"][0]["name"], "database");
    app.visitor().get("/login").await.ok();
    let brew = reqwest::Method::from_bytes(b"BREW").unwrap();
    app.visitor().send(brew, "/login", &[], |request| request).await;
    let metrics = app.visitor().get("/metrics").await.ok();
    assert!(!metrics.body.contains("BREW"), "{metrics:#?}");
    metrics
        .has("method=\"OTHER\"")
        .has("shuyu_runs_queued 0")
        .has("shuyu_runs_running 0")
        .has("shuyu_leases_open 0")
        .has("shuyu_workers_alive 0")
        .has("shuyu_disk_free_bytes ")
        .has("shuyu_http_requests_total{method=\"GET\",route=\"/login\",status=\"200\"}")
        .has("shuyu_http_request_seconds_bucket");
    app.app.db.close().await;
    let ready = app.visitor().get("/readyz").await.is(503).json();
    assert_eq!((&ready["ready"], &ready["checks"][0]["ok"]), (&false.into(), &false.into()));
    app.visitor().get("/healthz").await.ok();
}

#[tokio::test]
async fn static_files_change_their_address_with_their_content() {
    let app = TestApp::start().await;
    let page = app.visitor().get("/").await.ok();
    let css =
        page.body.split("href=\"").find(|part| part.contains("app.css")).unwrap().split('"').next().unwrap();
    let file = app.visitor().get(css).await.ok();
    assert_eq!(file.header("content-type"), "text/css; charset=utf-8");
    app.visitor().get("/static/000000000000/app.css").await.ok();
    app.visitor().get("/static/000000000000/../../Cargo.toml").await.is(404);
    app.visitor().get("/static/000000000000/%2e%2e%2fCargo.toml").await.is(404);
}

#[tokio::test]
async fn every_decision_about_people_is_in_the_audit_log_without_secrets() {
    let app = TestApp::start().await;
    let (root, alice) = (app.admin("root").await, app.user("alice").await);
    let token = alice.token("read").await;
    alice.post("/account/security/sessions/end", &[]).await.is(303);
    root.post("/admin/users/alice/roles", &[("judge", "yes")]).await.is(303);
    root.post("/admin/users/alice/roles", &[]).await.is(303);
    let link = root.post("/admin/users/alice/reset-link", &[]).await.ok();
    let at = link.body.find("/reset/").unwrap();
    let path = link.body[at..at + "/reset/".len() + 64].to_owned();
    app.visitor().post(&path, &[("password", "entirely different words")]).await.is(303);
    root.post("/admin/users/alice/disable", &[]).await.is(303);
    root.post("/admin/users/alice/enable", &[]).await.is(303);
    for _ in 0..5 {
        app.visitor().log_in("alice", "wrong password").await.is(401);
    }
    let page = root.get("/admin/audit").await.ok();
    for action in [
        "user.added",
        "session.opened",
        "token.made",
        "session.revoked",
        "role.granted",
        "role.revoked",
        "reset_link.made",
        "user.password.reset",
        "user.disabled",
        "user.enabled",
        "user.locked",
    ] {
        assert!(page.body.contains(&format!("<code>{action}</code>")), "{action} is missing");
    }
    assert!(!page.body.contains(&token) && !page.body.contains(&path));
    root.get("/admin/audit?action=role.").await.ok().has("<code>role.granted").lacks("<code>token.made");
    root.get("/admin/audit?user=alice").await.ok().has("<code>token.made").lacks("<code>role.granted");
    root.get("/admin/audit?user=nobody").await.ok().has("没有符合条件的记录");
    app.user("bob").await.get("/admin/audit").await.is(403);
}

#[tokio::test]
async fn what_was_refused_leaves_no_trace_in_the_audit_log() {
    let app = TestApp::start().await;
    let root = app.admin("root").await;
    let before = root.get("/admin/audit").await.ok();
    root.post("/admin/users/root/disable", &[]).await.is(409);
    let after = root.get("/admin/audit").await.ok();
    let rows = |page: &support::Answer| page.body.matches("<code>").count();
    assert_eq!(rows(&before), rows(&after));
    root.get("/account").await.ok();
}

mod live {
    use axum::extract::{Path, State};
    use axum::response::{IntoResponse as _, Response};
    use axum::routing::get;
    use futures_util::StreamExt as _;
    use shuyu::store::events;
    use shuyu::web::App;
    use shuyu::web::error::PageError;

    use super::TestApp;

    async fn stream(
        State(app): State<App>,
        Path(topic): Path<String>,
        headers: axum::http::HeaderMap,
    ) -> Result<Response, PageError> {
        Ok(app.live.stream("alice", vec![topic], &headers).await?.into_response())
    }

    /// The real hub behind a route of our own, as a page's route uses it.
    async fn serve(app: &TestApp) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let router = axum::Router::new().route("/{topic}", get(stream)).with_state(app.app.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        address
    }

    async fn publish(app: &TestApp, topic: &str, n: i64) {
        let mut tx = app.app.db.begin().await.unwrap();
        let now = app.app.clock.now();
        events::publish(&mut tx, now, (topic, "score"), &serde_json::json!({ "n": n })).await.unwrap();
        tx.commit().await.unwrap();
        app.app.live.wake();
    }

    async fn read(response: &mut reqwest::Response, until: &str) -> String {
        let mut text = String::new();
        while !text.contains(until) {
            let chunk = tokio::time::timeout(std::time::Duration::from_secs(20), response.chunk()).await;
            text.push_str(&String::from_utf8_lossy(&chunk.expect("an event comes").unwrap().unwrap()));
        }
        text
    }

    #[tokio::test]
    async fn listeners_get_their_topic_and_what_they_missed() {
        let app = TestApp::start().await;
        let address = serve(&app).await;
        // The hub reads from where the table ends when it starts: the first event shows that it has.
        let mut first = reqwest::get(format!("{address}/t1")).await.unwrap();
        assert_eq!(first.headers()["content-type"], "text/event-stream");
        publish(&app, "t0", 0).await;
        publish(&app, "t1", 1).await;
        let text = read(&mut first, "\n\n").await;
        assert!(text.contains("event: score\n") && text.contains("data: {\"n\":1}"), "{text}");
        assert!(!text.contains("\"n\":0"), "{text}");
        let id = text.lines().find_map(|line| line.strip_prefix("id: ")).unwrap().to_owned();

        drop(first);
        publish(&app, "t1", 2).await;
        let client = reqwest::Client::new();
        let request = client.get(format!("{address}/t1")).header("last-event-id", id);
        let mut again = request.send().await.unwrap();
        publish(&app, "t1", 3).await;
        let text = read(&mut again, "\"n\":3").await;
        let found: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        assert_eq!(found, ["{\"n\":2}", "{\"n\":3}"], "{text}");
    }

    #[tokio::test]
    async fn one_person_has_only_so_many_streams_and_closed_ones_do_not_count() {
        let app = TestApp::start_with(|settings| settings.limits.live_connections = 2).await;
        let headers = axum::http::HeaderMap::new();
        let open = async |who: &str| {
            let opened = app.app.live.stream(who, vec!["t".into()], &headers).await;
            opened.map(axum::response::IntoResponse::into_response)
        };
        let (first, _second) = (open("alice").await.unwrap(), open("alice").await.unwrap());
        assert!(open("alice").await.is_err());
        assert!(open("bob").await.is_ok());
        drop(first);
        assert!(open("alice").await.is_ok());
    }

    #[tokio::test]
    async fn streams_end_when_the_service_stops() {
        let app = TestApp::start().await;
        let headers = axum::http::HeaderMap::new();
        let response =
            app.app.live.stream("alice", vec!["t".into()], &headers).await.unwrap().into_response();
        app.app.live.close();
        let mut body = response.into_body().into_data_stream();
        let ended = tokio::time::timeout(std::time::Duration::from_secs(20), body.next()).await;
        assert!(ended.expect("the stream ends").is_none());
    }
}

/// The calls `t(key="…")` of a template; `"prefix-" ~ value` counts as the prefix.
fn keys_used(template: &str) -> Vec<(String, bool)> {
    template
        .split("t(key=\"")
        .skip(1)
        .map(|rest| {
            let (key, after) = rest.split_once('"').unwrap();
            (key.to_owned(), after.trim_start().starts_with('~'))
        })
        .collect()
}

fn files(directory: &str, suffix: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut waiting = vec![std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(directory)];
    while let Some(path) = waiting.pop() {
        for entry in std::fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.to_str().unwrap().ends_with(suffix) {
                found.push((path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found
}

#[test]
fn every_text_a_template_or_handler_names_exists() {
    let words = shuyu::web::words::Words::load().unwrap();
    let keys: Vec<String> = files("locales/en", ".ftl")
        .iter()
        .flat_map(|(_, text)| {
            text.lines().filter_map(|l| l.split_once(" =").map(|(key, _)| key.to_owned())).collect::<Vec<_>>()
        })
        .collect();
    let mut count = 0;
    for (file, template) in files("templates", ".html") {
        for (key, is_prefix) in keys_used(&template) {
            count += 1;
            let exists = match is_prefix {
                true => keys.iter().any(|known| known.starts_with(&key)),
                false => words.has(shuyu::web::lang::Lang::En, &key),
            };
            assert!(exists, "{file}: no text {key:?}");
        }
    }
    assert!(count > 150, "{count}");
    for (file, code) in files("src", ".rs") {
        for part in code.split("\"flash-").skip(1) {
            let key = format!("flash-{}", part.split('"').next().unwrap());
            assert!(words.has(shuyu::web::lang::Lang::En, &key), "{file}: no text {key:?}");
        }
    }
}

#[test]
fn every_kind_of_error_and_fault_has_its_words() {
    let words = shuyu::web::words::Words::load().unwrap();
    let has = |key: &str| words.has(shuyu::web::lang::Lang::En, key);
    let mut count = 0;
    for (file, code) in files("src/people", ".rs") {
        for part in code.split("Fault::new(").skip(1) {
            let Some(key) = part.split(')').next().unwrap().split('"').nth(3) else { continue };
            count += 1;
            assert!(has(&format!("fault-{key}")), "{file}: no words for the fault {key:?}");
        }
    }
    assert!(count >= 6, "{count}");
    for error in [
        "internal",
        "busy",
        "timeout",
        "not-found",
        "method-not-allowed",
        "bad-request",
        "invalid",
        "too-large",
        "too-many-requests",
        "wrong-login",
        "locked",
        "login-needed",
        "token-needed",
        "forbidden",
        "cross-site",
        "stale-link",
        "last-administrator",
    ] {
        for key in [format!("error-{error}"), format!("error-{error}.why"), format!("error-{error}.mend")] {
            assert!(has(&key), "no text {key:?}");
        }
    }
}

#[tokio::test]
async fn a_script_that_reads_json_is_refused_in_json() {
    let app = TestApp::start().await;
    let upload = "/competitions/nothing/upload";
    let origin = [("sec-fetch-site", "same-origin"), ("accept", "application/json")];
    let answer = app.visitor().send(reqwest::Method::POST, upload, &origin, |request| request).await.is(401);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let answer =
        app.visitor().send(reqwest::Method::POST, upload, &origin[..1], |request| request).await.is(401);
    assert!(answer.header("content-type").starts_with("text/html"));
}
