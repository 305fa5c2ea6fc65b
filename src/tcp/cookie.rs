//! SYN cookies: the handshake without memory.

/// Makes and checks cookies.
#[derive(Debug)]
pub struct CookieJar;
