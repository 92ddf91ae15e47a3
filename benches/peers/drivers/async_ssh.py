"""asyncssh: one task for each host, in one thread. Not bounded unless it is asked for: the library bounds nothing."""

import asyncio

import asyncssh

from common import Answers, arguments

given, answers = arguments(), Answers()
key = asyncssh.read_private_key(given.key)
known_hosts = asyncssh.read_known_hosts(given.known_hosts)


async def work(connection):
    if given.put:
        async with connection.start_sftp_client() as sftp:
            await sftp.put(*given.put)
        answers.good += 1
        return
    for _ in range(given.rounds):
        done = await connection.run(given.command, check=True)
        answers.bytes += len(done.stdout)
        answers.good += 1


async def visit(host, places):
    async with places:
        try:
            async with asyncssh.connect(
                host, given.port, username=given.user, client_keys=[key], known_hosts=known_hosts,
                agent_path=None, config=None, connect_timeout=300, login_timeout=300,
            ) as connection:
                await work(connection)
        except (OSError, asyncssh.Error) as error:
            answers.failed(error)


async def main():
    places = asyncio.Semaphore(given.at_once or len(given.hosts))
    await asyncio.gather(*(visit(host, places) for host in given.hosts))


asyncio.run(main())
answers.show()
