/*
 * What a connection wants of a struct lk_mux beyond lockkeeper.h: to say
 * things of its own, and to receive without a copy.
 */
#ifndef LK_CLIENT_MUX_H
#define LK_CLIENT_MUX_H

#include <lockkeeper.h>

/* As lk_mux_submit(), of a request whose reply nobody wants. */
void	lk_mux_tell(struct lk_mux *mux, const struct lk_envelope *envelope,
	    size_t n_words, const char *const *words);
/*
 * Words as they are, of a request that is not kept: its reply comes as
 * LK_MUX_STRAY.  0, or -1 with errno ENOMEM.
 */
int	lk_mux_put(struct lk_mux *mux, size_t n_words, const char *const *words,
	    const size_t *lens);

/*
 * lk_mux_feed() in two steps: room for n bytes, NULL when the stream is
 * broken; then so many of them came.
 */
char	*lk_mux_room(struct lk_mux *mux, size_t n);
void	lk_mux_came(struct lk_mux *mux, size_t n);
/* What from was fed and has not understood yet is fed to `to`. */
void	lk_mux_pass_on(struct lk_mux *from, struct lk_mux *to);

#endif
