//! The addresses that `bind` and `connect` accept.

use std::io::{Error, ErrorKind, Result};
use std::net::{IpAddr, SocketAddr};

/// An address and a port, as a value or as text (`"10.0.0.2:80"`, `"[fd00::2]:80"`).
///
/// Names are not resolved: that would block the worker and all its connections. Resolve them on
/// another thread, or with a resolver on top of [`TcpStream`](super::TcpStream).
pub trait ToAddress: sealed::Sealed {
    /// Returns the address and the port.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for text that is not an IP address and a port.
    fn to_address(&self) -> Result<SocketAddr>;
}

impl ToAddress for SocketAddr {
    fn to_address(&self) -> Result<SocketAddr> {
        Ok(*self)
    }
}

impl ToAddress for (IpAddr, u16) {
    fn to_address(&self) -> Result<SocketAddr> {
        Ok((*self).into())
    }
}

impl ToAddress for (&str, u16) {
    fn to_address(&self) -> Result<SocketAddr> {
        let address: IpAddr = self.0.parse().map_err(|_| invalid(self.0))?;
        Ok((address, self.1).into())
    }
}

impl ToAddress for &str {
    fn to_address(&self) -> Result<SocketAddr> {
        self.parse().map_err(|_| invalid(self))
    }
}

impl ToAddress for String {
    fn to_address(&self) -> Result<SocketAddr> {
        self.as_str().to_address()
    }
}

impl<T: ToAddress> ToAddress for &T {
    fn to_address(&self) -> Result<SocketAddr> {
        (**self).to_address()
    }
}

fn invalid(text: &str) -> Error {
    let message = format!(
        "`{text}` is not an IP address and a port such as 10.0.0.2:80 or [fd00::2]:80; names are \
         not resolved here"
    );
    Error::new(ErrorKind::InvalidInput, message)
}

mod sealed {
    #[expect(unnameable_types, reason = "seals the trait")]
    pub trait Sealed {}
    impl Sealed for std::net::SocketAddr {}
    impl Sealed for (std::net::IpAddr, u16) {}
    impl Sealed for (&str, u16) {}
    impl Sealed for &str {}
    impl Sealed for String {}
    impl<T: Sealed> Sealed for &T {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_an_address_and_a_port() {
        assert_eq!("10.0.0.2:80".to_address().unwrap(), SocketAddr::from(([10, 0, 0, 2], 80)));
        assert_eq!(("::1", 7).to_address().unwrap().to_string(), "[::1]:7");
        let error = "localhost:80".to_address().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("`localhost:80`"));
    }
}
