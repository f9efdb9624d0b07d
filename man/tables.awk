# Reads rows (lockkeeperd --dump, the table's name before each) and then one
# page, in which it puts them in their places; see man/tables.

BEGIN { FS = "\t" }

# ---- mdoc ----

# Text on lines of 78 columns, none of which is taken for a macro.
function filled(text,    words, n, i, line, out) {
	n = split(text, words, " ")
	for (i = 1; i <= n; i++) {
		if (line != "" && length(line) + length(words[i]) > 77) {
			out = out line "\n"
			line = ""
		}
		line = line (line == "" ? "" : " ") words[i]
		if (line ~ /^[.']/)
			line = "\\&" line
	}
	return out line "\n"
}

function sentence(text) {
	return filled(toupper(substr(text, 1, 1)) substr(text, 2) ".")
}

# Of "a|b|c" that each is written so.
function listed(text, before, between, last,    words, n, i, out) {
	n = split(text, words, "|")
	for (i = 1; i <= n; i++)
		out = out (i == 1 ? "" : i < n ? between : last) before words[i]
	return out
}

# ---- syntax ----

# The parts of "VERB [word|other ...]": words, brackets, bars.
function parts_of(syntax, parts) {
	gsub(/[][|]/, " & ", syntax)
	gsub(/^ +| +$/, "", syntax)
	return split(syntax, parts, / +/)
}

# In lower case a word is typed as it stands when it is one of several, or the
# value of an option of HELLO that says so; else it is the name of a value.
function is_typed(parts, i) {
	return parts[i] ~ /[A-Z0-9]/ || parts[i - 1] == "|" || \
	    (parts[i + 1] == "|" && parts[i + 2] ~ /^[a-z]/) || \
	    parts[i - 1] in hello_words
}

function markup(syntax,    parts, n, i, macro, line, out) {
	n = parts_of(syntax, parts)
	for (i = 1; i <= n; i++) {
		if (parts[i] == "[" || parts[i] == "]") {
			out = out line (parts[i] == "[" ? ".Oo\n" : ".Oc\n")
			line = ""
			continue
		}
		if (parts[i] == "|" || parts[i] == "...") {
			sub(/\n$/, " ", line)
			line = line parts[i] "\n"
			continue
		}
		macro = i == 1 ? ".Ic " : is_typed(parts, i) ? ".Cm " : ".Ar "
		if (substr(line, 1, 4) == macro) {
			sub(/\n$/, " ", line)
			line = line parts[i] "\n"
		} else {
			out = out line
			line = macro parts[i] "\n"
		}
	}
	return ".It Xo\n" out line ".Xc\n"
}

# ---- what the names stand for ----

function add(name, text) {
	if (!(name in region))
		names[++n_names] = name
	region[name] = region[name] text
}

# What stands in a list of its own, which finish_lists() puts around it.
function add_item(name, macro, item, text) {
	add(name, ".It " macro " " item "\n" text)
	if (length(item) > length(widest[name]))
		widest[name] = item
}

# A word more in a list of verbs.
function add_verb(name, verb) {
	verbs[name] = verbs[name] (verbs[name] == "" ? "" : "|") verb
}

# What a config key takes, in words.
function range_of(type, initial, min, max,    out) {
	if (type ~ /[|]/)
		out = listed(type, "", ", ", " or ")
	else if (type == "mode")
		out = "an octal mode"
	else if (min == "0" && type != "count" && type != "size" && \
	    type != "text" && type != "conninfo" && type != "names")
		out = "0 or up to " max
	else
		out = min " to " max
	if (type == "text" || type == "conninfo")
		out = out " bytes"
	if (type == "names")
		out = out " names"
	if (initial == "-")
		return out ", must be given"
	return out ", default " (initial == "" ? "empty" : initial)
}

NR == FNR && $1 == "hello" {
	if ($4 == "words")
		hello_words[$2] = 1
	add("hello " $2, ".It Li " $2 ($4 == "words" ? \
	    " Cm " listed($3, "", " | ", " | ") : " Ar " $3) "\n" sentence($5))
}

NR == FNR && $1 == "verbs" {
	add("verb " $2, markup($3) sentence($6))
	if ($4 == "receipt")
		add_verb("verbs on receipt", $2)
	if ($5 == "tx")
		add_verb("verbs in transactions", $2)
}

NR == FNR && $1 == "envelope" {
	sign = $2 ~ /[!?]/ ? "\\&" $2 : $2
	if ($3 ~ /[|]/)
		tag = listed($3, sign, " , ", " , ")
	else
		tag = sign ($3 == "" ? "" : " Ns Ar " $3)
	add("envelope " $2, ".It Li " tag "\n" sentence($4))
}

NR == FNR && $1 == "errors" {
	add_item("errors", "Li", $2, $3 ", retry " $4 ".\n" sentence($5))
}

NR == FNR && $1 == "pushes" {
	add_item("push " $2, "Va", $3, filled($4))
}

NR == FNR && $1 == "replies" {
	add_item("reply " $2, "Va", $3, filled($4))
}

NR == FNR && $1 == "show" {
	add_item("show " $2, "Va", $3, filled($4))
}

NR == FNR && $1 == "config" {
	add("key " ($2 == "-" ? "" : $2 ".") $3, ".It Cm " $3 " Pq \"" \
	    range_of($4, $5, $6, $7) "; reload: " $8 "\"\n" sentence($9))
}

NR == FNR { next }

function finish_lists(    i, name) {
	for (i = 1; i <= n_names; i++) {
		name = names[i]
		if (name in widest)
			region[name] = ".Bl -tag -width " widest[name] \
			    " -compact\n" region[name] ".El\n"
	}
	for (name in verbs)
		add(name, ".Ic " listed(verbs[name], "", " ,\n.Ic ", \
		    "\nand\n.Ic ") "\n")
}

# ---- the page ----

function fail(text) {
	print FILENAME ":" FNR ": " text | "cat >&2"
	has_failed = 1
	exit 1
}

FNR == 1 { finish_lists() }

/^\.\\" End$/ {
	if (inside == "")
		fail("End without Begin")
	inside = ""
}

inside == "" { print }

/^\.\\" Begin: / {
	if (inside != "")
		fail("Begin before the End of " inside)
	inside = substr($0, 12)
	if (!(inside in region))
		fail("no row or table is called " inside)
	printf "%s", region[inside]
}

END {
	if (has_failed)
		exit 1
	if (inside != "")
		fail("no End of " inside)
	if (NR != FNR)
		exit
	finish_lists()
	for (i = 1; i <= n_names; i++)
		print names[i]
}
