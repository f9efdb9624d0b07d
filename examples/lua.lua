-- Twenty coroutines of one thread move money between two accounts of
-- `lockkeeper dev', each in a transaction of its own; those that lose a
-- deadlock begin again.  See lua.c.

local function ask(...)
	local reply, err = await(...)
	if err then
		error(err)
	end
	return reply
end

local function move(from, to)
	ask("BEGIN")
	ask("UPDATE", "accounts", from, "SET", "balance", "-=", "1")
	ask("UPDATE", "accounts", to, "SET", "balance", "+=", "1")
	ask("COMMIT")
end

local n_done, n_tries = 0, 0

for i = 1, 20 do
	spawn(function()
		local is_done, err
		repeat
			n_tries = n_tries + 1
			is_done, err = pcall(move, i % 2 + 1, (i + 1) % 2 + 1)
			if not is_done then
				if type(err) ~= "table" or not err.again then
					error(type(err) == "table" and
					    err.message or err, 0)
				end
				await("ROLLBACK")
			end
		until is_done
		n_done = n_done + 1
		if n_done == 20 then
			local row = ask("GET", "accounts", 1)
			print(n_done .. " transfers, done in " .. n_tries ..
			    " tries; " .. row.owner .. " has " .. row.balance)
		end
	end)
end
