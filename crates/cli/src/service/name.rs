//! The names of the services on the command line.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use linerate::shard::{ListenerId, Service};

use super::chargen::Chargen;
use super::close::Close;
use super::daytime::Daytime;
use super::discard::Discard;
use super::echo::Echo;
use super::http::{self, Site};

/// The name of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServiceName {
    /// Sends back what it receives.
    Echo,
    /// Discards what it receives.
    Discard,
    /// Streams a pattern.
    Chargen,
    /// Sends one line and closes first.
    Daytime,
    /// HTTP/1.1.
    Http,
    /// Closes when the peer closes.
    Close,
}

impl ServiceName {
    const ALL: [(&'static str, Self); 6] = [
        ("echo", Self::Echo),
        ("discard", Self::Discard),
        ("chargen", Self::Chargen),
        ("daytime", Self::Daytime),
        ("http", Self::Http),
        ("close", Self::Close),
    ];
}

/// A service on a port: `NAME:PORT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    /// Name of the service.
    pub name: ServiceName,
    /// TCP port.
    pub port: u16,
}

impl Named {
    /// Returns true if the service finishes what is under way when the stack drains.
    pub(crate) fn drains(self) -> bool {
        self.name == ServiceName::Http
    }

    /// Creates the instance of one worker, for connections of `listener`.
    pub(crate) fn make(self, listener: ListenerId, site: &Arc<Site>) -> Box<dyn Service> {
        use ServiceName as Name;
        match self.name {
            Name::Echo => Box::new(Echo::new()),
            Name::Discard => Box::new(Discard::new()),
            Name::Chargen => Box::new(Chargen::new()),
            Name::Daytime => Box::new(Daytime::new()),
            Name::Http => http::service(site, listener, self.port),
            Name::Close => Box::new(Close::new()),
        }
    }
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, port) =
            text.split_once(':').ok_or("write NAME:PORT, for example echo:7 or http:8080")?;
        let (_, name) = ServiceName::ALL
            .into_iter()
            .find(|(known, _)| *known == name)
            .ok_or("the services are echo, discard, chargen, daytime, http and close")?;
        let port = port
            .parse()
            .ok()
            .filter(|port| *port != 0)
            .ok_or("the port must be from 1 to 65535")?;
        Ok(Self { name, port })
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = ServiceName::ALL.iter().find(|(_, name)| *name == self.name);
        write!(f, "{}:{}", name.map_or("", |(text, _)| text), self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_ports_are_parsed_and_formatted() {
        for text in ["echo:7", "discard:9", "chargen:19", "daytime:13", "http:80", "close:65535"] {
            assert_eq!(text.parse::<Named>().map(|named| named.to_string()), Ok(text.into()));
        }
        for text in ["echo", "echo:0", "echo:x", "smtp:25", "echo:65536", ":7"] {
            assert!(text.parse::<Named>().is_err(), "{text}");
        }
    }
}
