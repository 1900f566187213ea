//! What carries files out in bulk is refused with the reason, however it is asked for; and what a page load
//! of the lab brings to the browser.

use super::client::Guest;
use super::scene::{participant, scene};

const WHY: &str = "数据不出域";

async fn zh(guest: &Guest, path: &str) -> super::client::Said {
    guest.ask(&format!("GET {path}"), &[("Accept-Language", "zh-CN")], "").await
}

#[tokio::test]
async fn exports_are_refused_with_the_reason_and_no_token_reaches_the_browser() {
    let app = scene().await;
    let person = participant(&app, "alice", "small").await;
    let lab = person.open(&app).await;
    let cap = 8 << 20;
    let fill = format!(
        "echo secret-cell > small.csv; yes secret-row | head -c {} > large.csv; head -c {} /dev/urandom > large.bin",
        cap + 1,
        cap * 3 / 4 + 3
    );
    lab.sh(&fill).await;
    for path in [
        "/files/small.csv",
        "/files/small.csv?download=1",
        "/%66iles/small.csv",
        "/files%2fsmall.csv",
        "/%2Ffiles/small.csv",
        "/nbconvert/html/start.ipynb?download=true",
        "/nbconvert/script/start.ipynb",
        "/view/small.csv",
        "/api/contents/large.csv?type=file&format=text",
        "/api/contents/large.csv",
        "/api/contents/large.bin?type=file&format=base64",
        "/api/contents/large.bin?type=file&format=%62ase64&content=1",
        "/api/contents/large.bin?type=file",
        "/api/contents/large.bin?type=notebook&type=file",
    ] {
        let said = zh(&lab.guest, path).await;
        assert_eq!(said.status, if path.starts_with("/%2F") { 404 } else { 403 }, "{path}: {}", said.head);
        assert!(said.status == 404 || said.body.contains(WHY), "{path} does not say why: {said:?}");
        assert!(!said.body.contains("secret-"), "{path}");
    }
    // other ways of writing the same
    for path in [
        "//files/small.csv",
        "/lab/../files/small.csv",
        "/lab/..%2ffiles/small.csv",
        "/lab/%2e%2e/files/small.csv",
        "/static/../files/small.csv",
        "/static/..%2f..%2f..%2fhome/participant/small.csv",
        "/lab\\..\\files\\small.csv",
        "/./files/small.csv",
        "/FILES/small.csv",
        "/Files/small.csv",
        "/files;x/small.csv",
        "/%2566iles/small.csv",
        "/lab/files/small.csv",
        "/api/../files/small.csv",
        "/shuyu/static/../../files/small.csv",
        "/shuyu/files/small.csv",
        "/tree/../files/small.csv",
        "/custom/../files/small.csv",
        "http://other/files/small.csv",
    ] {
        let said = zh(&lab.guest, path).await;
        assert!(!said.body.contains("secret-cell"), "{path}: {said:?}");
        assert!(said.status != 200 || said.body.contains("jupyter-config-data"), "{path}: {said:?}");
    }
    // what is small is shown, and is counted
    let before = shown(&lab.guest).await;
    lab.guest.get("/api/contents/small.csv").await.is(200).has("secret-cell");
    assert!(shown(&lab.guest).await > before);

    // the first load of the page: the shell, the lab, its settings and files
    let token = app.app.keeper.as_ref().unwrap().way_in(lab.id).unwrap().token;
    let page = lab.guest.get("/lab").await.is(200);
    assert!(page.body.contains("jupyter-config-data"), "{page:?}");
    let mut answers = vec![page];
    let addressed = |text: &str| {
        let attributes =
            text.split(['"', '\'']).filter(|word| word.starts_with("/static/")).map(str::to_owned);
        attributes.collect::<std::collections::BTreeSet<String>>()
    };
    let mut paths = addressed(&answers[0].body);
    assert!(!paths.is_empty(), "{:?}", answers[0]);
    let fixed = [
        "/",
        "/shuyu/",
        "/shuyu/state",
        "/lab/tree/start.ipynb",
        "/lab/api/settings",
        "/lab/api/translations/",
        "/lab/api/translations/zh_CN",
        "/lab/api/listings/@jupyterlab/all",
        "/lab/api/themes",
        "/lab/api/licenses",
        "/lab/api/workspaces/default",
        "/api",
        "/api/me",
        "/api/status",
        "/api/kernelspecs",
        "/api/kernels",
        "/api/sessions",
        "/api/terminals",
        "/api/contents?content=1",
        "/api/config/notebook",
        "/api/spec.yaml",
        "/login",
        "/logout",
        "/metrics",
        "/tree",
        "/lsp/status",
        "/api/nothing",
        "/nothing",
        "/api/contents/absent",
    ];
    paths.extend(fixed.map(str::to_owned));
    for path in &paths {
        answers.push(lab.guest.get(path).await);
    }
    let mut socket = lab.guest.socket("/api/events/subscribe").await;
    lab.guest.kernel().await;
    assert!(socket.hear().await.is_some_and(|event| !event.contains(&token)));
    for said in &answers {
        assert!(!said.head.contains(&token.to_ascii_lowercase()), "in the headers: {}", said.head);
        assert!(!said.body.contains(&token), "in a body: {}", said.head);
        assert!(!said.head.contains("shuyu_session"), "{}", said.head);
    }
    assert!(answers[0].body.contains(r#""token": """#), "{:?}", answers[0]);
    app.end_keeping().await;
}

async fn shown(guest: &Guest) -> u64 {
    guest.get("/shuyu/state").await.is(200).json()["shown"].as_u64().unwrap()
}
