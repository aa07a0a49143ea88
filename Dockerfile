# The receiving server in a container. docs/operations.md says how to run it, and how to build it without a network.
ARG NODE_IMAGE=node:26-bookworm-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /project
COPY package.json package-lock.json .npmrc ./
COPY runtime/package.json runtime/
RUN npm ci
COPY . .
# What users install: the built package and its own dependencies, in the versions of the lockfile.
RUN npm run build \
 && npm ci --omit=dev --workspaces=false \
 && mkdir /package \
 && cp -R package.json LICENSE NOTICE bin dist node_modules /package/

FROM ${NODE_IMAGE}
COPY --from=build /package /opt/sealift
# A number that no image and few machines have; volumes take owner and mode of these folders when they are made.
RUN ln -s /opt/sealift/bin/sealift.js /usr/local/bin/sealift \
 && install -d -o 10001 -g 10001 -m 0700 /data /data/received /var/lib/sealift /var/log/sealift
USER 10001:10001
WORKDIR /data
ENV HOME=/var/lib/sealift \
    NODE_ENV=production \
    ST_HOST=0.0.0.0 \
    ST_PORT=9000 \
    ST_OUTPUT_DIR=/data/received \
    ST_IDENTITY=/var/lib/sealift/server.key \
    ST_LOG_PATH=/var/log/sealift \
    DB_PATH=/var/lib/sealift/ledger.db
EXPOSE 9000
VOLUME ["/data/received", "/var/lib/sealift", "/var/log/sealift"]
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.ST_HEALTH_PORT || 9001}/health`).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["sealift"]
CMD ["receive"]
