//! A client that is as impolite as it is told to be: requests as they are written, and WebSockets frame by
//! frame.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What came back.
#[derive(Debug)]
pub struct Said {
    pub status: u16,
    /// The status line and the headers, in lower case.
    pub head: String,
    pub body: String,
}

impl Said {
    fn read(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no answer: {text:?}"));
        Self { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    #[track_caller]
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    #[track_caller]
    pub fn has(self, text: &str) -> Self {
        assert!(self.body.contains(text), "{text:?} is not in {self:?}");
        self
    }

    /// The object that the body, in chunks or not, consists of.
    pub fn json(&self) -> Value {
        let object = self.body.find('{').zip(self.body.rfind('}')).unwrap_or_else(|| panic!("{self:?}"));
        serde_json::from_str(&self.body[object.0..=object.1]).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// The value of a cookie that it sets.
    pub fn cookie(&self, name: &str) -> Option<String> {
        let lines = self.head.lines().filter_map(|line| line.strip_prefix("set-cookie: "));
        let mut pairs = lines.filter_map(|line| line.split(';').next()?.split_once('='));
        pairs.find(|(given, _)| *given == name).map(|(_, value)| value.to_owned())
    }
}

/// Somebody at the door of a host name.
#[derive(Clone)]
pub struct Guest {
    pub address: SocketAddr,
    pub host: String,
    /// The whole `Cookie` header.
    pub cookies: String,
}

impl Guest {
    pub fn origin(&self) -> String {
        format!("http://{}", self.host)
    }

    /// Sends a request line's method and target as they are, these headers, and a body.
    pub async fn ask(&self, line: &str, headers: &[(&str, &str)], body: &str) -> Said {
        let mut stream = self.send(line, headers, body).await;
        let mut bytes = Vec::new();
        // a connection that is closed while we write was answered all the same
        let _ = stream.read_to_end(&mut bytes).await;
        Said::read(&bytes)
    }

    /// The same, and leaves the answer to be read.
    pub async fn send(&self, line: &str, headers: &[(&str, &str)], body: &str) -> TcpStream {
        let Self { host, cookies, .. } = self;
        let mut text = format!("{line} HTTP/1.1\r\nHost: {host}\r\n");
        if !cookies.is_empty() {
            text += &format!("Cookie: {cookies}\r\n");
        }
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("connection")) {
            text += "Connection: close\r\n";
        }
        for (name, value) in headers {
            text += &format!("{name}: {value}\r\n");
        }
        text += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    pub async fn get(&self, path: &str) -> Said {
        self.ask(&format!("GET {path}"), &[], "").await
    }

    /// A request that changes something, as the sandbox's own pages send it.
    pub async fn change(&self, line: &str, body: &str) -> Said {
        let origin = self.origin();
        self.ask(line, &[("Origin", &origin), ("Content-Type", "application/json")], body).await
    }

    /// Opens a WebSocket that says it comes from `origin`, or the answer that it is none.
    pub async fn socket_from(&self, origin: Option<&str>, path: &str) -> Result<Socket, Said> {
        let mut headers = vec![
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        headers.extend(origin.map(|origin| ("Origin", origin)));
        let mut stream = self.send(&format!("GET {path}"), &headers, "").await;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("an answer"));
        }
        let mut said = Said::read(&head);
        if said.status != 101 {
            let mut body = vec![0; 16 << 10];
            let read = stream.read(&mut body).await.unwrap_or(0);
            said.body = String::from_utf8_lossy(&body[..read]).into_owned();
            return Err(said);
        }
        Ok(Socket { stream })
    }

    /// Opens a WebSocket as the sandbox's own pages do.
    pub async fn socket(&self, path: &str) -> Socket {
        self.socket_from(Some(&self.origin()), path).await.unwrap_or_else(|said| panic!("{path}: {said:?}"))
    }

    /// Starts a kernel; gives its id.
    pub async fn kernel(&self) -> String {
        let made = self.change("POST /api/kernels", r#"{"name":"python3"}"#).await.is(201);
        made.json()["id"].as_str().unwrap().to_owned()
    }

    /// Runs code in a kernel and gives what it printed.
    pub async fn run(&self, kernel: &str, code: &str) -> String {
        let mut socket = self.socket(&format!("/api/kernels/{kernel}/channels")).await;
        let header = serde_json::json!({
            "msg_id": "asked", "username": "", "session": "s", "msg_type": "execute_request", "version": "5.3",
        });
        let content = serde_json::json!({
            "code": code, "silent": false, "store_history": false, "user_expressions": {}, "allow_stdin": false,
        });
        let ask = serde_json::json!({
            "header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell",
        });
        socket.say(&ask.to_string()).await;
        let (mut printed, mut replied, mut idle) = (String::new(), false, false);
        while !(replied && idle) {
            let message = socket.hear().await.unwrap_or_else(|| panic!("the kernel is gone after {printed}"));
            let message: Value = serde_json::from_str(&message).unwrap();
            if message["parent_header"]["msg_id"] != "asked" {
                continue;
            }
            let content = &message["content"];
            match message["msg_type"].as_str().unwrap() {
                "stream" => printed += content["text"].as_str().unwrap(),
                "error" => printed += &format!("{}: {}", content["ename"], content["evalue"]),
                "execute_reply" => replied = true,
                "status" => idle |= content["execution_state"] == "idle",
                _ => {}
            }
        }
        printed
    }
}

/// An open WebSocket.
pub struct Socket {
    pub stream: TcpStream,
}

impl Socket {
    /// A client's frame: masked, with a mask of zeros.
    pub fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0x80 | opcode];
        match payload.len() {
            0..126 => frame.push(0x80 | u8::try_from(payload.len()).unwrap()),
            126..65_536 => {
                frame.push(0x80 | 126);
                frame.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
            }
            length => {
                frame.push(0x80 | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(payload);
        frame
    }

    pub async fn say(&mut self, text: &str) {
        self.stream.write_all(&Self::frame(1, text.as_bytes())).await.unwrap();
    }

    /// The next text, or bytes taken for one; `None` at the end.
    pub async fn hear(&mut self) -> Option<String> {
        loop {
            let (opcode, payload) = self.next().await?;
            match opcode {
                1 | 2 => return Some(String::from_utf8_lossy(&payload).into_owned()),
                8 => return None,
                _ => {}
            }
        }
    }

    /// The next frame's opcode and payload; `None` at the end.
    async fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        let opcode = self.stream.read_u8().await.ok()? & 0x0f;
        let length = match self.stream.read_u8().await.ok()? & 0x7f {
            126 => u64::from(self.stream.read_u16().await.ok()?),
            127 => self.stream.read_u64().await.ok()?,
            length => u64::from(length),
        };
        let mut payload = vec![0; usize::try_from(length).ok()?];
        self.stream.read_exact(&mut payload).await.ok()?;
        Some((opcode, payload))
    }
}
