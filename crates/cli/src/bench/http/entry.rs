//! Names of the servers and the clients.

use clap::ValueEnum;

/// A server of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Entry {
    /// hyper on an executor of linerate.
    Linerate,
    /// hyper on tokio, over kernel sockets.
    Tokio,
    /// Callbacks of linerate, without futures and without a parser.
    Callbacks,
}

impl Entry {
    /// Lists the servers, in the order in which a round measures them.
    pub(super) const ALL: [Self; 3] = [Self::Linerate, Self::Tokio, Self::Callbacks];

    /// Returns the name on the command line and in reports.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Linerate => "linerate",
            Self::Tokio => "tokio",
            Self::Callbacks => "callbacks",
        }
    }

    /// Returns the description in tables.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Linerate => "hyper on linerate",
            Self::Tokio => "hyper on tokio, kernel",
            Self::Callbacks => "callbacks on linerate",
        }
    }
}

/// A client of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Client {
    /// `linerate load` over AF_XDP.
    Load,
    /// wrk over kernel sockets.
    Wrk,
}

impl Client {
    /// Lists the clients.
    pub(super) const ALL: [Self; 2] = [Self::Load, Self::Wrk];

    /// Returns the name in reports.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Wrk => "wrk",
        }
    }

    /// Returns the description in tables.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Load => "client: linerate load, AF_XDP",
            Self::Wrk => "client: wrk, kernel sockets",
        }
    }
}
