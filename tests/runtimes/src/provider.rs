//! The provider's process: the sandbox, and callbacks posted at a moment that is known exactly.

use crate::Error;
use crate::process::{id, now, say};
use idv_core::shufti::signature::{Rule, sign};
use idv_sandbox::{Config, Create, Product, Provider, Sandbox, Step};
use std::io::{Read, Write, stdin};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Answers `open COUNT`, `pulls`, `happen NUMBER` and `callback NUMBER ADDRESS`.
pub(crate) fn run() -> Result<(), Error> {
    let config = Config { shufti_limit: None, ..Config::default() };
    let secret = config.credentials.shufti_secret_key.clone();
    let sandbox = Sandbox::start(config)?;
    let accepted = Step { callbacks: Vec::new(), ..Step::new(Duration::ZERO, "verification.accepted") };
    say(&format!("url {}", sandbox.shufti_url()));
    let mut receiver: Option<TcpStream> = None;
    for line in stdin().lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        match *words.as_slice() {
            ["open", count] => {
                for number in 0..count.parse()? {
                    sandbox.create(Create::new(Product::Shufti).id(id(number)).scenario("pending"))?;
                }
                say("open");
            }
            ["pulls"] => say(&format!("pulls {}", sandbox.statistics().shufti.answered_pulls)),
            ["happen", number] => {
                let at = now();
                sandbox.happen(Provider::Shufti, &id(number.parse()?), &accepted)?;
                say(&format!("happened {at}"));
            }
            ["callback", number, address] => {
                let id = id(number.parse()?);
                sandbox.happen(Provider::Shufti, &id, &accepted)?;
                let body = format!(
                    r#"{{"reference":"{id}","event":"verification.accepted","country":"GB","verification_result":{{"face":1}}}}"#
                );
                let request = format!(
                    "POST /callbacks HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nsignature: {}\r\n\r\n{body}",
                    body.len(),
                    sign(Rule::After, &secret, body.as_bytes()),
                );
                // Kept open, so that what is measured begins with a request on its way.
                let connection = match &mut receiver {
                    Some(connection) => connection,
                    None => {
                        let connection = TcpStream::connect(address.parse::<SocketAddr>()?)?;
                        connection.set_nodelay(true)?;
                        receiver.insert(connection)
                    }
                };
                let at = now();
                connection.write_all(request.as_bytes())?;
                let mut answer = [0; 1_024];
                let size = connection.read(&mut answer)?;
                if !answer.get(..size).is_some_and(|answer| answer.starts_with(b"HTTP/1.1 200")) {
                    return Err(
                        format!("a callback was answered {:?}", String::from_utf8_lossy(&answer)).into()
                    );
                }
                say(&format!("called {at}"));
            }
            _ => return Err(format!("no such command: {line}").into()),
        }
    }
    Ok(())
}
