//! Modes of running the program.

/// Requested mode of the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum XdpMode {
    /// Native if the driver supports it, otherwise generic.
    #[default]
    Auto,
    /// In the driver, before an skb is allocated.
    Native,
    /// In the kernel's receive path; works with any driver.
    Generic,
}

/// Mode in which the program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AttachedMode {
    /// In the driver.
    Native,
    /// In the kernel's receive path.
    Generic,
}

impl AttachedMode {
    /// Returns the name used in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }
}
