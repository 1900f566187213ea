//! Ways to anybody else over a network: there is none.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use super::lab::{Lab, on};

/// What connecting anywhere fails with: there is no route.
fn unreachable() -> &'static str {
    on("ENETUNREACH\n", "EHOSTUNREACH\n")
}

#[tokio::test]
async fn n18_no_tcp() {
    let code = r#"
import socket
for family, address in ((socket.AF_INET, "1.1.1.1"), (socket.AF_INET6, "2606:4700:4700::1111")):
    print(named(lambda: socket.socket(family).connect((address, 443))))
"#;
    let printed = Lab::new().await.printed(code).await;
    let known = on(
        &["ENETUNREACH\nENETUNREACH\n", "ENETUNREACH\nEADDRNOTAVAIL\n"][..],
        &["EHOSTUNREACH\nEHOSTUNREACH\n"],
    );
    assert!(known.contains(&printed.as_str()), "{printed}");
}

#[tokio::test]
async fn n19_no_dns() {
    let code = r#"
import socket
print(named(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("8.8.8.8", 53))))
try:
    print(socket.getaddrinfo("example.com", 80))
except socket.gaierror as error:
    print(error.errno in (socket.EAI_AGAIN, socket.EAI_NONAME))
"#;
    assert_eq!(Lab::new().await.printed(code).await, format!("{}True\n", unreachable()));
}

#[tokio::test]
async fn n20_no_metadata_service() {
    let code = r#"
import socket
for address in ("169.254.169.254", "100.100.100.200"):
    print(named(lambda: socket.socket().connect((address, 80))))
"#;
    assert_eq!(Lab::new().await.printed(code).await, unreachable().repeat(2));
}

#[tokio::test]
async fn n21_no_gateway_and_no_peers() {
    let code = r#"
import socket
print([name for _, name in socket.if_nameindex()], len(open("/proc/net/route").readlines()))
for address in ("172.17.0.1", "172.17.0.2", "10.0.0.1", "192.168.0.1"):
    print(named(lambda: socket.socket().connect((address, 22))))
for address in ("255.255.255.255", "224.0.0.1"):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    print(named(lambda: sock.sendto(b"x", (address, 9))))
"#;
    let printed = Lab::new().await.printed(code).await;
    let (peers, everyone) = (unreachable().repeat(4), "ENETUNREACH\n".repeat(2));
    assert_eq!(printed, format!("['lo'] 1\n{peers}{everyone}"));
}

#[tokio::test]
async fn n22_no_abstract_sockets_of_the_host() {
    let lab = Lab::new().await;
    let name = lab.settings.instance.clone();
    let address = SocketAddr::from_abstract_name(&name).expect("a name");
    let _listener = UnixListener::bind_addr(&address).expect("the host listens");
    let code = format!(
        r#"
import socket
print(named(lambda: socket.socket(socket.AF_UNIX).connect("\0{name}")))
print(len(open("/proc/net/unix").readlines()))
"#
    );
    assert_eq!(lab.printed(&code).await, "ECONNREFUSED\n1\n");
}
