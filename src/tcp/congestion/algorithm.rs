//! Names of the congestion control algorithms.

/// A congestion control algorithm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// RFC 5681 and RFC 6582.
    NewReno,
    /// RFC 9438.
    #[default]
    Cubic,
    /// BBR version 3 (draft-ietf-ccwg-bbr): paces by a model of the path.
    Bbr,
    /// RFC 8257, for networks that mark at a shallow threshold and whose hosts all use it.
    Dctcp,
}

impl Algorithm {
    /// All algorithms.
    pub const ALL: [Self; 4] = [Self::NewReno, Self::Cubic, Self::Bbr, Self::Dctcp];

    /// Returns the name on the command line and in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NewReno => "newreno",
            Self::Cubic => "cubic",
            Self::Bbr => "bbr",
            Self::Dctcp => "dctcp",
        }
    }
}
