//! The real kubectl against the real server.
