/* The release, as --version, HELLO and the build say it. */
#ifndef LK_BASE_VERSION_H
#define LK_BASE_VERSION_H

#define LK_VERSION	"0.1.0"

#endif
